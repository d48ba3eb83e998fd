"""While the application drains, every response ends its connection."""

import pytest

from bff.web.middleware.draining import Draining
from tests.harness.asgi_call import Reached, call, run, websocket_scope


@pytest.mark.parametrize(
    ("begun", "own", "sent"),
    [
        (False, [], []),
        (False, [b"keep-alive"], ["keep-alive"]),
        (True, [], ["close"]),
        (True, [b"keep-alive"], ["close"]),
        (True, [b"close"], ["close"]),
    ],
)
async def test_responses_say_connection_close_from_then_on(begun: bool, own: list[bytes], sent: list[str]) -> None:
    reached = Reached(200, *((b"Connection", value) for value in own), (b"x", b"y"))
    draining = Draining(reached)
    assert draining.begun is False
    if begun:
        draining.begin()
    response = await call(draining, "GET", "/x")
    assert (response.all("connection"), response.one("x"), response.body) == (sent, "y", b"reached")
    assert draining.begun is begun


async def test_a_websocket_is_left_alone() -> None:
    draining = Draining(Reached())
    draining.begin()
    assert (await run(draining, websocket_scope("/x"))).status == 101
