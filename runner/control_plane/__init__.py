"""The control plane as the runner sees it: the HTTP client and the lease."""
