"""Plays ECS on one machine: the service, its tasks and the runners they start."""
