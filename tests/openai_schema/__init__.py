"""All that the OpenAI simulator answers and all that we send, held against OpenAI's own description."""
