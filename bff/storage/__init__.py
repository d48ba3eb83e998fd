"""Session stores: SQLite for one machine, Redis for many replicas.

Owns opening a store by its URL, the codec of the sealed record, atomic writes, expiry, and indexes. Does not own the
meaning of a record or when it changes. Both stores pass one contract suite (`tests/proof/stores/contract.py`).
"""
