"""The management port: /livez, /readyz, /metrics and /openapi.json, on an address that the public cannot reach.

/livez checks no dependencies, so a store outage does not restart the pod. The event loop of all ports serves it: if
that is stuck, /livez does not respond, which fails a probe. The lag that it shows is information, since a restart does
not help an overloaded process. /readyz runs the checks that the composition root passes in. It says whether this
process may receive traffic, and shows the state of the dependencies, which decide nothing unless the operator wants
that.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import Receive, Scope, Send

import bff
from bff.telemetry.metrics import REGISTRY

logger = logging.getLogger(__name__)

_PACKAGE: Final = Path(bff.__file__).parent
READY_TIMEOUT: Final = 2.0  # seconds; a check that hangs counts as failed

# Reported, but not decisive unless the operator requires it: what the replicas share fails for all of them at once, and
# a replica without it still answers, with a 503 that keeps users signed in. During a key rotation replicas disagree
# about the newest key. Without refresh tokens sessions end early, at every replica.
INFORMATIONAL: Final = frozenset({"store", "provider", "key_ring_in_sync", "refresh_tokens"})


@dataclass(frozen=True, slots=True)
class ReadinessReport:
    """Whether this process may receive traffic, and each check by its name."""

    ready: bool
    checks: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class LivenessReport:
    """Whether requests are handled, and by how many seconds the event loop was late in the last minute."""

    live: bool
    event_loop_lag: float | None


def openapi_document() -> bytes | None:
    """The OpenAPI document of this version; None where it is not installed."""
    # In the wheel the documents are part of the package; in a clone they are beside it.
    candidates = (_PACKAGE / "docs" / "openapi.json", _PACKAGE.parent / "docs" / "openapi.json")
    return next((path.read_bytes() for path in candidates if path.is_file()), None)


Report: TypeAlias = Callable[[], Awaitable[ReadinessReport]]


async def own_liveness() -> LivenessReport:
    """Of this process, which is alive if it gets here."""
    return LivenessReport(live=True, event_loop_lag=REGISTRY.get_sample_value("bff_event_loop_lag_seconds"))


async def own_metrics() -> bytes:
    return generate_latest(REGISTRY)


def is_ready(checks: Mapping[str, bool], required: Collection[str]) -> bool:
    """`required`: the informational checks that the operator wants to decide too."""
    return all(passes for name, passes in checks.items() if name not in INFORMATIONAL or name in required)


class ManagementApp:
    """ASGI. A `report` that raises or times out counts as not ready."""

    def __init__(
        self,
        report: Report,
        *,
        liveness: Callable[[], Awaitable[LivenessReport]] = own_liveness,
        metrics: Callable[[], Awaitable[bytes]] = own_metrics,
        timeout: float = READY_TIMEOUT,
    ) -> None:
        """`liveness` and `metrics` are those of this process by default. `timeout`: seconds for all checks together."""
        self._report, self._liveness, self._metrics, self._timeout = report, liveness, metrics, timeout

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
        if path not in {"/livez", "/readyz", "/metrics", "/openapi.json"}:
            return 404, *_json({"error": "not found"})
        if method not in {"GET", "HEAD"}:
            return 405, *_json({"error": "method not allowed"})
        if path == "/openapi.json":
            document = openapi_document()
            return (404, *_json({"error": "not found"})) if document is None else (200, "application/json", document)
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST, await self._metrics()
        if path == "/livez":
            alive = await self._liveness()
            body = {"live": alive.live, "event_loop_lag_seconds": alive.event_loop_lag}
            return 200 if alive.live else 503, *_json(body)
        report = await self._readiness()
        return 200 if report.ready else 503, *_json({"ready": report.ready, "checks": dict(report.checks)})

    async def _readiness(self) -> ReadinessReport:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._report()
        except TimeoutError:
            return ReadinessReport(ready=False, checks={"answered_in_time": False})
        except Exception:
            logger.exception("the readiness checks failed")
            return ReadinessReport(ready=False, checks={"answered": False})


def _json(content: Mapping[str, Any]) -> tuple[str, bytes]:
    return "application/json", json.dumps(content).encode()
