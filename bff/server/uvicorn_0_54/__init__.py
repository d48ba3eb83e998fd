"""Subclasses of uvicorn's private classes. They fit uvicorn 0.54 and have to be reviewed for another one.

Owns: request framing that uvicorn leaves open, the timeout for a request head, the writer of response heads, and the
order of a shutdown. Does not own: listening and signals (`bff.server.serve`). `bff.server.run` refuses to import it
with another release of uvicorn or httptools: a subclass that no longer fits could read requests in another way.
"""
