"""The way of a message to its answer: inbound message, turn-taking, model call, formatting, bell."""
