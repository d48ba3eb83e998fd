"""The log: no secrets, no terminal tricks, no floods."""
