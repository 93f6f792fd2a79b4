"""The life of one session: its browser, its page, its status and its desired state."""
