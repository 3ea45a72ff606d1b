"""The packed graph: its nodes, checks and file. NumPy alone."""
