"""Loops that close the difference between the wanted and the seen state."""
