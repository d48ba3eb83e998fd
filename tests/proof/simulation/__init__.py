"""The refresh flow as it is, on simulated time, against a store and a provider that fail in every way we know of.

Owns: the event loop, the store, the network and the provider of the simulation, the world of replicas and callers, and
the invariants of rotation that are checked at every step. Nothing of the flow, the decision table or the codec is
replaced.
"""
