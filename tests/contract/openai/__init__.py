"""The simulated OpenAI against OpenAI's own SDK and recorded bodies."""
