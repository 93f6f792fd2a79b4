"""The checks of assistants: whether key, model and settings would answer now."""
