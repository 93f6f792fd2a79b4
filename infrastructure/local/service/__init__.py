"""Answerline as a service of systemd: its unit, its settings, its reverse proxy, its upgrades."""
