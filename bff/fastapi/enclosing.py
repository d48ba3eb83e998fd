"""Puts an ASGI application around an existing FastAPI application, outside of all its middleware.

`app.add_middleware` would put it inside of FastAPI's own telemetry, which records the query of every request, and
inside of all middleware that is added later. Access tokens and authorization codes are no business of either.
"""

from functools import partial

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send


def enclose(app: FastAPI, outer: ASGIApp) -> ASGIApp:
    """From now on `app` hands its requests to `outer`; returns the application as it was, for what `outer` leaves.

    The lifespan stays with `app`. The server calls the object that it was given, so the object gets a subclass of its
    class; to everything else it is what it was.
    """
    before = type(app)

    async def __call__(self: FastAPI, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: N807
        if scope["type"] in ("http", "websocket"):
            await outer(scope, receive, send)
        else:
            await before.__call__(self, scope, receive, send)

    app.__class__ = type(before.__name__, (before,), {"__call__": __call__, "__module__": before.__module__})
    return partial(before.__call__, app)
