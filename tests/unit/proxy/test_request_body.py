import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bff.errors import InvalidRequest, RequestTooLarge
from bff.proxy.request_body import RequestBody

CHUNKED = (b"transfer-encoding", b"chunked")


def body_of(
    *messages: tuple[bytes, bool] | None, method: str = "POST", fields: Any = (CHUNKED,), limit: int | None = None
) -> RequestBody:
    """Messages are chunks and whether more follow; None is a disconnect."""
    waiting = list(messages)

    async def receive() -> dict[str, Any]:
        if not waiting:
            await asyncio.Event().wait()
        message = waiting.pop(0)
        if message is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": message[0], "more_body": message[1]}

    return RequestBody({"method": method, "headers": list(fields)}, receive, limit=limit)


@pytest.mark.parametrize(
    ("method", "fields", "messages", "length"),
    [
        ("GET", [], [], -1),
        ("DELETE", [], [], -1),
        ("POST", [], [], 0),
        ("PUT", [(b"content-length", b"0")], [], 0),
        ("PATCH", [(b"content-length", b"3")], [(b"abc", False)], 3),
        ("POST", [(b"content-length", b"6")], [(b"abc", True)], 6),
        ("POST", [CHUNKED], [(b"abc", False)], 3),  # complete at once: its length is known
        ("POST", [CHUNKED], [(b"abc", True)], None),
    ],
)
async def test_the_length_for_the_upstream(method: str, fields: Any, messages: Any, length: int | None) -> None:
    body = body_of(*messages, method=method, fields=fields)
    await body.begin(within=60)
    assert body.length == length
    assert body.first == (b"abc" if messages else b"")
    assert body.ended is not any(more for _, more in messages)


async def test_a_body_over_the_limit_is_refused_announced_or_not() -> None:
    with pytest.raises(RequestTooLarge):
        body_of(fields=[(b"content-length", b"11")], limit=10)
    body = body_of((b"x" * 10, True), (b"x", False), limit=10)
    await body.begin(within=60)
    with pytest.raises(RequestTooLarge):
        await body.next()
    await body_of((b"x" * 10, False), limit=10).begin(within=60)


async def test_a_body_that_does_not_arrive_is_refused_in_time(advance_clock: Callable[[float], None]) -> None:
    body = body_of()
    begun = asyncio.create_task(body.begin(within=5))
    asyncio.get_running_loop().call_soon(advance_clock, 5)
    with pytest.raises(InvalidRequest):
        await begun
    assert body.awaited
