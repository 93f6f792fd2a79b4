"""Emulates API Gateway and Lambda on one machine: passes HTTP requests and events to the Chalice app."""
