"""Stored items as values of the model."""
