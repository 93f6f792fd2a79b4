"""Health checks of a running installation, each with its fix (`make doctor`)."""
