"""The browser profile of a session: its directory, its archive, when it is saved and from what it is restored."""
