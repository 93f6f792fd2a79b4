"""The corpus: what others reported, as cases that are run against the real code; see docs/contribute.md."""
