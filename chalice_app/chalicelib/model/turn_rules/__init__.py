"""The rules of turn-taking, by noun: each returns a decision where it applies, and None where it does not. Pure."""
