"""The management port: /livez, /readyz and /metrics, on an address that the public cannot reach. /livez checks no
dependencies, so a store outage does not restart the pod. /readyz runs the checks that the composition root passes in,
and fails only for a dependency without which nothing useful can be served.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import Receive, Scope, Send

from bff.telemetry.metrics import REGISTRY

logger = logging.getLogger(__name__)

READY_TIMEOUT: Final = 2.0  # seconds; a check that hangs counts as failed

# Reported, but not decisive: without the provider, existing sessions keep working; during a key rotation replicas
# disagree about the newest key.
INFORMATIONAL: Final = frozenset({"provider", "key_ring_in_sync"})

Checks: TypeAlias = Callable[[], Awaitable[Mapping[str, bool]]]


class ManagementApp:
    """ASGI. `ready` returns each check and whether it passes; a callable that raises or times
    out counts as not ready.
    """

    def __init__(self, ready: Checks, *, timeout: float = READY_TIMEOUT) -> None:
        """`timeout`: seconds for all checks together."""
        self._ready, self._timeout = ready, timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # It has no lifespan of its own, and refuses a WebSocket handshake.
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1000})
            return
        status, content_type, body = await self._answer(scope["method"], scope["path"])
        headers = [
            (b"content-type", content_type.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, method: str, path: str) -> tuple[int, str, bytes]:
        if path not in {"/livez", "/readyz", "/metrics"}:
            return 404, *_json({"error": "not found"})
        if method not in {"GET", "HEAD"}:
            return 405, *_json({"error": "method not allowed"})
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST, generate_latest(REGISTRY)
        if path == "/livez":
            return 200, *_json({"live": True})
        checks = await self._checks()
        ready = all(holds for name, holds in checks.items() if name not in INFORMATIONAL)
        return 200 if ready else 503, *_json({"ready": ready, "checks": dict(checks)})

    async def _checks(self) -> Mapping[str, bool]:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._ready()
        except TimeoutError:
            return {"answered_in_time": False}
        except Exception:
            logger.exception("the readiness checks failed")
            return {"answered": False}


def _json(content: Mapping[str, Any]) -> tuple[str, bytes]:
    return "application/json", json.dumps(content).encode()
