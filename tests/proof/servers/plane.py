"""The data plane in front of one raw upstream, as an application for any server: `tests.proof.servers.plane:app`.

The users are those of the framing tests, and the upstream is at the port of the variable UPSTREAM_PORT.
"""

import os

from starlette.types import Receive, Scope, Send

from tests.harness.proxy_server import User, Users, data_plane
from tests.harness.routes import a_route

_users = Users(**{name: User(f"token-of-{name}") for name in ("alice", "bob", "mallory")})
_plane, _close = data_plane(a_route(upstream=f"http://127.0.0.1:{os.environ.get('UPSTREAM_PORT', '9')}"), users=_users)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "lifespan":
        await _plane(scope, receive, send)
        return
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    _close()
    await send({"type": "lifespan.shutdown.complete"})
