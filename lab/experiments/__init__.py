"""What was tried once, in the words of docs/research: each file is a command."""
