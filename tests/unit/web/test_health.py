"""The management port: alive, ready, metrics, and which failing checks matter."""

import asyncio
import json
from collections.abc import Mapping

import pytest

from bff.web.health import ManagementApp, ReadinessReport, is_ready
from tests.harness.asgi_call import Response, call


async def ask(checks: Mapping[str, bool] | Exception | None, path: str = "/readyz", method: str = "GET") -> Response:
    """`checks`: their results, an error, or None for checks that hang."""

    async def ready() -> ReadinessReport:
        if checks is None:
            await asyncio.Event().wait()
        if isinstance(checks, Exception):
            raise checks
        assert checks is not None
        return ReadinessReport(is_ready(checks, ()), checks)

    return await call(ManagementApp(ready, timeout=0.001 if checks is None else 60.0), method, path)


@pytest.mark.parametrize(
    ("checks", "status", "shown"),
    [
        ({"store": True, "provider": True}, 200, {"store": True, "provider": True}),
        ({"store": False, "provider": True}, 200, {"store": False, "provider": True}),
        ({"store": True, "provider": False, "key_ring_in_sync": False}, 200, None),
        ({"store_reached": False, "store": False}, 503, None),
        ({"serving": False}, 503, {"serving": False}),
        ({}, 200, {}),
        (None, 503, {"answered_in_time": False}),
        (RuntimeError("CANARY"), 503, {"answered": False}),
    ],
)
async def test_readiness_fails_for_what_this_process_needs(
    checks: Mapping[str, bool] | Exception | None, status: int, shown: Mapping[str, bool] | None
) -> None:
    response = await ask(checks)
    content = json.loads(response.body)
    assert (response.status, content["ready"]) == (status, status == 200)
    assert content["checks"] == (checks if shown is None else shown)
    assert (response.one("cache-control"), b"CANARY" in response.body) == ("no-store", False)


@pytest.mark.parametrize(
    ("method", "path", "status", "content_type"),
    [
        ("GET", "/livez", 200, "application/json"),
        ("GET", "/metrics", 200, "text/plain"),
        ("GET", "/openapi.json", 200, "application/json"),
        ("HEAD", "/metrics", 200, "text/plain"),
        ("POST", "/livez", 405, "application/json"),
        ("GET", "/", 404, "application/json"),
        ("GET", "/livez/", 404, "application/json"),
    ],
)
async def test_the_other_paths_need_no_checks(method: str, path: str, status: int, content_type: str) -> None:
    response = await ask(RuntimeError(), path, method)
    assert response.status == status
    assert (response.one("content-type") or "").startswith(content_type)
    assert response.all("allow") == (["GET, HEAD"] if status == 405 else [])
    assert bool(response.body) == (method != "HEAD")
    assert response.one("content-length") != "0"
