"""The life of a session between the runners: failover, placement, and the notices of its changes."""
