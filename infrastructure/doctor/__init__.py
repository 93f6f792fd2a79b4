"""Checks of an installation that runs, each with its fix."""
