"""The steps of a program in compiled code, and the loop that runs them."""
