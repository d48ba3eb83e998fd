"""Which trace a request belongs to, and what leaves the process about it."""
