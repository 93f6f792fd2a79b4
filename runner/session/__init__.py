"""The life of one session: its browser, its page, its status and what the host asks of it."""
