"""The runners as the stores list them: their items, what they have room for, and their versions."""
