"""Compares the packed runtime, and other formats, with Keras: layer by layer and on whole networks."""
