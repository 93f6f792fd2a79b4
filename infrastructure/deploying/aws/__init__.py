"""One file for each AWS service that a deployment asks or changes."""
