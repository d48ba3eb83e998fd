"""The storage room: one contract for every store, then what only one of them can do wrong."""
