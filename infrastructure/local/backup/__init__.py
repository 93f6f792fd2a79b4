"""Backups of one machine: taken while it runs, sealed for a key that the operator keeps, kept at another place."""


class BackupFailed(Exception):
    """A backup cannot be taken, kept, found or used: one sentence for the operator, with no secret in it."""
