"""Messages of one session: read from chats, journaled, handed in; replies sent."""
