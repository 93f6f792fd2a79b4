"""Mail on one machine: spooled as files, shown in the outbox, relayed to an SMTP server."""
