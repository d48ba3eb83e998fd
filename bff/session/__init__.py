"""The session: the record of a signed-in browser, and when its tokens are refreshed.

Owns the session record and its limits, the refresh rotation table, the login transaction, the return path rule, the key
ring for cookies and records, and the port `SessionStore`. Does not own storage, transport or time. No I/O and no clock;
only keys and ids are random.
"""
