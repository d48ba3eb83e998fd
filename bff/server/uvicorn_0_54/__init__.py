"""Subclasses of uvicorn's private protocol classes. They fit uvicorn 0.54 and have to be reviewed for another one.

Owns: request framing that uvicorn leaves open, the timeout for a request head, and the writer of response heads.
Does not own: listening, signals and shutdown.
"""
