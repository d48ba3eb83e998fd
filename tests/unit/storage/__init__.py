"""Storage: one contract for every store, then the failures that only one of them has."""
