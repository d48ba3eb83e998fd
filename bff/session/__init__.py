"""The session: what is remembered of a signed-in browser, and when its tokens are renewed.

Owns: the session record and its limits, the refresh-rotation table, the sign-in under way, the return-URL rule, the
key ring that seals cookies and records, and the port `SessionStore`.
Does not own: where records are kept, how requests arrive, what time it is. No I/O, no clock, only keys and ids random.
"""
