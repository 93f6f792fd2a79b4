"""Plays API Gateway and Lambda on one machine: HTTP requests and events reach the Chalice app."""
