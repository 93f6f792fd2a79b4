"""Parts of AWS that MiniStack lacks and a rehearsal needs, each applied to it as a correction."""
