"""What a host application gets, and what happens to its responses; its routes are in tests/unit/fastapi."""

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response

from bff.errors import SignInRequired
from bff.web.host import HOST, HostRequests, route_of
from tests.harness.asgi_call import call
from tests.harness.hosted import host_settings, hosted


@pytest.mark.parametrize(
    ("reads", "headers", "cached"),
    [
        (True, {}, "no-store"),
        (True, {"Cache-Control": "private, max-age=60"}, "private, max-age=60"),
        (False, {}, None),
        (False, {"cache-control": "public"}, "public"),
    ],
)
async def test_a_response_with_data_of_the_user_is_not_stored_unless_it_says_so(
    tmp_path: Path, reads: bool, headers: dict[str, str], cached: str | None
) -> None:
    app, seen = FastAPI(), list[Any]()

    @app.get("/items/{item}")
    async def items(request: Request) -> Response:
        requests: HostRequests = request.scope[HOST]
        seen.append(route_of(request.scope))
        if reads:
            with pytest.raises(SignInRequired):
                await requests.session(request.scope)
        return Response(headers=headers)

    async with hosted(app, host_settings(tmp_path)) as parts:
        response = await call(parts.public, "GET", "/items/secret-name")
    assert response.one("cache-control") == cached
    assert seen == ["/items/{item}"]


def test_a_request_without_a_route_has_a_name_too() -> None:
    assert route_of({}) == "host"
