"""Emulates ECS on one machine: the service, its tasks and the runners that they start."""
