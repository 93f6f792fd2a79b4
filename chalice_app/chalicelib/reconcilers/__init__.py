"""Loops that close the difference between the desired and the observed state."""
