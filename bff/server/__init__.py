"""The HTTP server: listeners, the process of `bff serve`, and the integration with uvicorn.

Owns: sockets that are bound at the start, signals and shutdown, and the protocol subclasses, in a package named after
uvicorn's version. Does not own: the application (`bff.app`), or its responses (`bff.web`).
"""
