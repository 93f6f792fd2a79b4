"""Monthly costs of an installation (`make cost`)."""
