"""Messages: what came, whether it is answered, and how the model reads it. Pure."""
