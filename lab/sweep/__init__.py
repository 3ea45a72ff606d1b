"""Trains the rows of the accuracy table one after another, and renders the table from what they leave behind."""
