"""What an installation costs in a month."""
