"""Calls to AWS, one file for each service that a deployment reads or changes."""
