"""OpenAI's Responses API: the only package that knows it."""
