"""The table's three engines beside each other: dynoxide (one machine), moto and memory (tests); AWS is the fourth."""
