"""Session records in Redis: one server, Sentinel or Cluster.

Owns: the client with its circuit breaker, the topologies, the URL forms, and one Lua script for each write.
Does not own: the format of a record (`bff.storage.codec`) or the names of indexes (`bff.storage.index`).
"""
