"""Mails on one machine: kept as files, shown in the outbox, relayed to a real server."""
