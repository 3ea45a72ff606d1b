"""Parts of the training program that other programs can use: checkpoints, run directories, optimizers, weight transfer."""
