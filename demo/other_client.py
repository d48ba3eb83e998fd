"""Another client, to which a visitor of the demo copies the browser's cookies: what a thief with a copy can do.

Browsers send the cookies of `localhost` to all its ports, so the browser itself hands them over when it opens `/copy`.
They stay in this process. The page of the demo asks for the rest through the BFF, which removes its own cookies.
"""

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final
from urllib.parse import urlsplit

SESSION_COOKIE: Final = "bff-session"
BOUND_COOKIE: Final = "bff-bound"
TIMEOUT: Final = 30.0  # seconds
PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Another client</title><link rel="icon" href="data:,">
<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem}</style></head>
<body><h1>Another client</h1><p>%s</p><p>You can close this window.</p>%s</body></html>
"""
CLOSES: Final = "<script>close()</script>"


@dataclass(frozen=True, slots=True)
class Call:
    """What the BFF answered to a call of the API with copied cookies. `reason`: of its problem, if it has one."""

    status: int
    reason: str | None


class OtherClient:
    """Keeps the newest copy, as one Cookie header."""

    def __init__(self, public_url: str, bff_port: int, device_bound: str, lifetime: int) -> None:
        """`public_url` is where the browser finds the BFF; `lifetime` is that of a bound cookie, in seconds."""
        self._host, self._bff_port = urlsplit(public_url).netloc, bff_port
        self._about = {"device_bound": device_bound, "lifetime": lifetime}
        self._cookies: list[str] = []
        self._copied_at: float | None = None

    def copy(self, header: str) -> bool:
        """Whether there is a session among the cookies."""
        cookies = [cookie for cookie in header.split("; ") if cookie]
        if not any(_name(cookie).endswith(SESSION_COOKIE) for cookie in cookies):
            return False
        self._cookies, self._copied_at = cookies, time.time()
        return True

    def state(self) -> dict[str, Any]:
        """Without the values of the cookies. `copied_at` is in seconds since the epoch."""
        return {**self._about, "copied_at": self._copied_at, "cookies": [_name(cookie) for cookie in self._cookies]}

    def call_with_all(self) -> Call:
        """Raises OSError or HTTPException when the BFF does not answer."""
        return self._call(self._cookies)

    def call_without_bound_cookie(self) -> Call:
        """As a client calls that has a copy of the session cookie only. Raises as the other one."""
        return self._call([cookie for cookie in self._cookies if not _name(cookie).endswith(BOUND_COOKIE)])

    def _call(self, cookies: list[str]) -> Call:
        connection = http.client.HTTPConnection("127.0.0.1", self._bff_port, timeout=TIMEOUT)
        try:
            headers = {"Host": self._host, "X-CSRF": "1", "Accept": "application/json", "Cookie": "; ".join(cookies)}
            connection.request("GET", "/api/orders", headers=headers)
            answer = connection.getresponse()
            status, body = answer.status, answer.read()
        finally:
            connection.close()
        if status < 400:
            return Call(status, None)
        problem = json.loads(body)
        return Call(status, problem.get("reason") or problem.get("code"))


@contextmanager
def other_client(client: OtherClient, port: int = 0) -> Iterator[int]:
    """Serves it on the loopback interface, in threads of this process; yields the port. Raises OSError."""

    class Handler(_Handler):
        other = client

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads, server.block_on_close = True, False  # a browser keeps its connections open
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    other: OtherClient
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        match self.path:
            case "/copy":
                self._copy()
            case "/state":
                self._answer_json(200, {**self.other.state(), "port": self.server.server_port})  # type: ignore[attr-defined]
            case _:
                self._answer_json(404, {"error": "unknown path"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path != "/call":
            self._answer_json(404, {"error": "unknown path"})
            return
        try:
            calls = {"all": self.other.call_with_all(), "without_bound": self.other.call_without_bound_cookie()}
        except (OSError, http.client.HTTPException):
            self._answer_json(502, {"error": "the BFF does not answer"})
            return
        self._answer_json(200, {name: {"status": c.status, "reason": c.reason} for name, c in calls.items()})

    def _copy(self) -> None:
        if self.other.copy(self.headers.get("Cookie") or ""):
            html = PAGE % ("This process, on another port, has a copy of the cookies of your session now.", CLOSES)
        else:
            html = PAGE % ("Your browser has sent no session cookie. Sign in at the demo first.", "")
        self._answer(200, "text/html; charset=utf-8", html.encode())

    def _answer_json(self, status: int, content: dict[str, Any]) -> None:
        self._answer(status, "application/json", json.dumps(content).encode())

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, the name that the library uses
        """Nothing is logged."""


def _name(cookie: str) -> str:
    return cookie.partition("=")[0]
