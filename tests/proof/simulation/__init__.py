"""The refresh flow as it is, on simulated time, against a store and a provider that fail in every way we know of."""
