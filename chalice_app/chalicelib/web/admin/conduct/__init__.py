"""The part of a tenant's form about its conduct: what the line says of itself, and when it answers."""
