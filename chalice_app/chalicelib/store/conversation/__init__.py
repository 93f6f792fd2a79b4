"""Chats, their messages and turns."""
