"""The meaning of an assistant's settings: the models there are, what fits together, what the model is told of them."""
