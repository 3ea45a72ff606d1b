"""Between Keras models and packed graphs, both ways."""
