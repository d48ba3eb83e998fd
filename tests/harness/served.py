"""A process that serves a tiny application with `bff.server.run.run`."""

import asyncio
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from starlette.types import Receive, Scope, Send

from bff.asgi.write_batching import WriteBatch
from bff.config.settings import load_settings
from bff.server.run import run
from bff.session.session import SessionKey
from bff.telemetry.logging import configure_logging, stderr_without_blocking
from bff.web.health import ManagementApp, ReadinessReport, is_ready
from tests.harness.settings import with_changes
from tests.harness.waiting import until


class Tiny:
    def __init__(self) -> None:
        self.folder = Path(os.environ["SERVED_FOLDER"])
        self.management = ManagementApp(self.report)
        self.forward_auth = self.management
        self.write_batch = WriteBatch()
        self.header_cache = 1 << 20
        self.public_url = "http://localhost"
        self.stopping = False

    def reload(self) -> None:
        (self.folder / "reloaded").touch()

    def begin_to_stop(self) -> None:
        self.stopping = True

    def end_streams(self) -> None:
        (self.folder / "streams-ended").touch()

    async def check_ended(self, keys: Sequence[SessionKey]) -> None:
        (self.folder / "ended").write_text(" ".join(keys))

    async def report(self) -> ReadinessReport:
        checks = await self.checks()
        return ReadinessReport(is_ready(checks, ()), checks)

    async def checks(self) -> dict[str, bool]:
        if self.stopping:
            return {"serving": False}
        match (self.folder / "checks").read_text() if (self.folder / "checks").exists() else "":
            case "raise":
                raise RuntimeError("canary")
            case "hang":
                await asyncio.Event().wait()
            case "store":
                return {"store": False, "provider": True}
            case "provider":
                return {"store": True, "provider": False}
            case _:
                pass
        return {"store": True, "provider": True}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            failed = "SERVED_FAIL" in os.environ
            await send({"type": f"lifespan.startup.{'failed' if failed else 'complete'}"})
            await receive()
            (self.folder / "stopped").touch()
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["path"] == "/block":
            threading.Event().wait()
        if scope["path"] == "/slow":
            (self.folder / "requested").touch()
            await until((self.folder / "go").exists)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str((scope["client"] or [None])[0]).encode()})


if __name__ == "__main__":
    configure_logging("info", "json", stderr_without_blocking("json"))
    public, management, drain_delay = [*sys.argv[1:], "0"][:3]
    changes = {"listen": public, "management_listen": management, "drain_delay": drain_delay}
    if "SERVED_FORWARD_AUTH" in os.environ:
        changes |= {"forward_auth_listen": os.environ["SERVED_FORWARD_AUTH"], "trusted_proxies": "127.0.0.1"}
    if "SERVED_WATCHDOG" in os.environ:
        changes["watchdog_timeout"] = os.environ["SERVED_WATCHDOG"]
    settings = load_settings(with_changes(**changes))
    sys.exit(run(Tiny(), settings))
