"""Settings: what is accepted, what is refused and how it is told, and where values come from."""
