"""The browser profile of a session: its directory, its archive, the saver and the restorer of its snapshots."""
