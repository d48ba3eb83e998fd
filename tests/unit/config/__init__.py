"""The settings: what is accepted and refused, and where values come from."""
