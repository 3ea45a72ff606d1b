"""Steps of single layers, one file a library; they import nothing of tfq but where tfq is measured."""
