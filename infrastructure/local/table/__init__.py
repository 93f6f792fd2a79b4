"""The table of one machine: its engine, its items as a copy or a file, and what the engine does not do by itself."""
