"""The HTTP server: listeners and the integration with uvicorn.

Owns: sockets that are bound at the start, and the protocol subclasses, in a package named after uvicorn's version.
Does not own: the application (`bff.app`), or what it answers (`bff.web`).
"""
