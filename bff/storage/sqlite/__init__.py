"""Session records in SQLite: one file, for the processes of one machine.

Owns: the database file with its rights and schema, the group commit of writes, and the clock of this host.
Does not own: the format of a record (`bff.storage.codec`) or the names of indexes (`bff.storage.index`).
"""
