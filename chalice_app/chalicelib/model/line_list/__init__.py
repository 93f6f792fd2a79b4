"""The list of lines as people see it: its order, its pages, its search, and the counts above it."""
