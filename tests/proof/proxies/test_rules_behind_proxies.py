"""What nginx and Caddy, as they are shipped, make of a path or a header changes no rule of a route."""

from pathlib import Path

import pytest

from tests.harness.framing_shapes import HOST
from tests.harness.upstream_wire import Answer, bff_beside, ok, raw_upstream, read_answer, route
from tests.proof.proxies.test_framing_through_proxies import FRONTS, Address, World
from tests.unit.proxy.test_nested_routes import MORE_READERS, SPELLINGS, by_prefix

FORGED = (
    "X-User-Sub",
    "X_User_Sub",
    "X.User.Sub",
    "X-User_Sub",
    "Remote-User",
    "Client-Cert",
    "X-Forwarded-User",
    "b3",
)
# What passes nginx's location or Caddy's matcher because they decode, merge slashes and ignore case before they look.
BY_THE_PROXY = ["/%61pi/admin/x", "//api/admin/x", "/api/x/../admin/x", "/api/%2e/admin/x", "/API/admin/x"]


async def ask(front: Address, method: str, path: str, *fields: str) -> Answer:
    reader, writer = await World(front, None, fronted=True).open()  # type: ignore[arg-type]
    try:
        ours = [f"Host: {HOST}", "Cookie: user=alice", "Sec-Fetch-Site: same-origin", "X-CSRF: 1", *fields]
        writer.write("\r\n".join([f"{method} {path} HTTP/1.1", *ours, "", ""]).encode())
        return await read_answer(reader)
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("front", FRONTS)
async def test_a_nested_route_is_not_passed_by_what_a_proxy_makes_of_a_spelling(front: str, tmp_path: Path) -> None:
    async with raw_upstream(ok()) as upstream:
        nested = route(upstream, prefix="/api/admin", methods=("GET",))
        async with bff_beside(route(upstream), nested) as behind, FRONTS[front](tmp_path, behind) as address:
            for path in (*SPELLINGS, *BY_THE_PROXY):
                answer = await ask(address, "DELETE", path)
                assert answer.status >= 400, path
                assert [heard.target for heard in upstream.heard] == [], path
            allowed = await ask(address, "DELETE", "/api/orders/a%20b;v=1//c")
    assert (allowed.status, [heard.target for heard in upstream.heard]) == (200, ["/api/orders/a%20b;v=1//c"])
    assert {by_prefix(read(upstream.heard[0].target)) for read in MORE_READERS.values()} == {"/api"}


@pytest.mark.parametrize("front", FRONTS)
async def test_a_forged_identity_reaches_no_api_through_a_proxy(front: str, tmp_path: Path) -> None:
    async with (
        raw_upstream(ok()) as upstream,
        bff_beside(route(upstream)) as behind,
        FRONTS[front](tmp_path, behind) as address,
    ):
        answer = await ask(address, "GET", "/api/x", *(f"{name}: evil" for name in FORGED), "Prefer: mine")
    assert answer.status == 200
    assert "evil" not in str(upstream.heard[0].fields)
    assert upstream.heard[0].all("prefer") == ["mine"]
