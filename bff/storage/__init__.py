"""Where session records are kept: SQLite for one machine, Redis for many replicas.

Owns: opening a store by its URL, the codec of the sealed record, the atomic writes, expiry, and the indexes.
Does not own: what a record means or when it changes. Both stores pass one contract suite (`tests/storage/contract.py`).
"""
