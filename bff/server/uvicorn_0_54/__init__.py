"""Subclasses of uvicorn's private classes. They fit uvicorn 0.54 and have to be reviewed for another one.

Owns: request framing that uvicorn leaves open, the timeout for a request head, the writer of response heads, and the
order of a shutdown. Does not own: listening and signals (`bff.server.run`). With another version of uvicorn or
httptools the import is refused: a subclass that no longer fits could read a request differently from the tests.
"""

from bff.server.uvicorn_0_54.required_versions import check_versions

check_versions()
