"""The notices of owners and operators: stored with their news, claimed, sent, repeated, and taken back."""
