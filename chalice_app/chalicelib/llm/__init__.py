"""OpenAI's Responses API; no other package imports its client."""
