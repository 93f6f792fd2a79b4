"""Rendering for people: templates, translations, QR codes and static files."""
