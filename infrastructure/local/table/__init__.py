"""The table of one machine: dynoxide (DynamoDB on SQLite), its guard, and what dynoxide does not do by itself."""
