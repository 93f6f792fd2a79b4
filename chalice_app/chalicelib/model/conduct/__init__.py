"""The conduct of a line: what it says of itself to contacts, and when it answers. Pure; every rule takes `now`."""
