"""Anything sent to one of our own endpoints gets an answer of a shape that is documented, and never a 5xx."""

import asyncio
import json
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bff.app import Application
from tests.harness.web_parts import FETCH, NAVIGATION
from tests.proof.documentation.test_docs import ERRORS, fastapi_apps, rows
from tests.proof.races.world import World, ask, running_world

CODES = {code: int(row[0]) for code, row in rows(ERRORS).items() if row[0] != "none"}
NAMES = (
    *("return_to", "iss", "target_link_uri", "login_hint", "code", "state", "error", "error_description", "sid"),
    *("logout_token", "prompt", "max_age", "acr_values", "idp", "response", "session_state"),
)
KINDS = ("application/json", "application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", "")

visible = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=40)
field = st.sampled_from(NAMES) | visible
value = visible | st.sampled_from(
    ["", "0", "-1", "a" * 3000, "%00", "%ff", "https://races.okta.example/oauth2/default"]
)
query = st.lists(st.tuples(field, value), max_size=5).map(lambda pairs: "&".join(f"{n}={v}" for n, v in pairs))
safe_query = query.filter(lambda text: not set(text) & set('#"<>\\^`{|}'))
json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
known = st.fixed_dictionaries(
    {}, optional={"id": json_value, "others": json_value, "local": json_value, "sub_id": json_value}
)
body = (
    st.binary(max_size=200)
    | query.map(str.encode)
    | (json_value | known).map(lambda content: json.dumps(content).encode())
    | st.sampled_from([b"", b"{", b"[" * 2000, b"\xff\xfe", b'{"a":1,"a":2}', b"a" * 20_000])
)
header = st.sampled_from(
    [
        ("authorization", "Bearer a.b.c"),
        ("authorization", "Bearer"),
        ("authorization", "Basic eDp5"),
        ("cookie", "__Host-Http-session=AAAA"),
        ("cookie", "__Host-Http-session=a; __Host-Http-session=b"),
        ("cookie", "__Host-Http-browser=x; __Host-Http-login-x=y"),
        ("x-csrf", "2"),
        ("origin", "null"),
        ("origin", "https://evil.example"),
        ("accept", "text/html"),
        ("accept", "application/json;q=0.1, text/html;q=x"),
        ("x-forwarded-for", "1.2.3.4, x"),
        ("sec-fetch-site", "cross-site"),
        ("user-agent", "Mozilla/5.0 (Windows NT 10.0) Firefox/1"),
    ]
)


class Running:
    """The application, in a loop that a test which is no coroutine can use."""

    def __init__(self, directory: Path) -> None:
        self._stack, self._runner = ExitStack(), asyncio.Runner()
        self._stack.callback(self._runner.close)
        self._running = running_world(f"sqlite:///{directory / 'bff.db'}", 1, slow=0.0)
        self.world: World = self._runner.run(self._running.__aenter__())
        self._stack.callback(lambda: self._runner.run(self._running.__aexit__(None, None, None)))
        self.app: Application = self.world.apps[0]
        (own,) = set(fastapi_apps(self.app.public))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.paths = sorted(own.openapi()["paths"])

    def run(self, work: Any) -> Any:
        return self._runner.run(work)

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("fuzz"))
    yield running
    running.close()


@pytest.mark.case("OP-022")
@pytest.mark.parametrize("examples", [200, pytest.param(10_000, marks=pytest.mark.long)])
def test_every_answer_of_ours_is_a_documented_one(running: Running, examples: int) -> None:
    jar = running.run(running.world.signed_in(running.world.person(), "sid"))

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        path=st.sampled_from(running.paths),
        method=st.sampled_from(["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"]),
        query=safe_query,
        fetch=st.booleans(),
        signed_in=st.booleans(),
        kind=st.sampled_from(KINDS),
        extra=st.lists(header, max_size=3).map(dict),
        body=body,
    )
    @example(  # garbage where a provider's signature belongs
        path="/auth/global-token-revocation",
        method="POST",
        query="",
        fetch=False,
        signed_in=False,
        kind="application/json",
        extra={"authorization": "Bearer a.b.c"},
        body=b"{}",
    )
    def send(
        path: str, method: str, query: str, fetch: bool, signed_in: bool, kind: str, extra: dict[str, str], body: bytes
    ) -> None:
        more = {**({"content-type": kind} if kind else {}), **extra}
        own = [line for line in (FETCH if fetch else NAVIGATION) if line.partition(":")[0] not in more]
        headers = (*own, *(f"{name}: {value}" for name, value in more.items()))
        cookies = dict(jar) if signed_in and "cookie" not in extra else {}
        target = f"{path}?{query}" if query else path
        answer = running.run(ask(running.app, method, target, headers, body=body, jar=cookies))
        # A browser forgets its binding at any other answer that is no success, so a refresh without a binding is a 503.
        pending = path == "/auth/device-binding/refresh" and b"device_binding_pending" in answer.body
        assert answer.status < 500 or pending, (method, target, headers, body, answer.body)
        told = dict(answer.headers)
        assert b"cache-control" in told
        if answer.status >= 400 and method != "HEAD":
            if told[b"content-type"] == b"application/problem+json":
                problem = json.loads(answer.body)
                assert CODES[problem["code"]] == answer.status == problem["status"]
            else:
                assert told[b"content-type"].startswith(b"text/html")
                assert any(
                    f">{code}<".encode() in answer.body for code, status in CODES.items() if status == answer.status
                )
        shown = answer.body + b"".join(value for _, value in answer.headers)
        assert b"Traceback" not in shown
        assert not any(token.encode() in shown for token in running.world.provider.families._tokens)

    send()
    assert running.run(running.world.call(jar, running.app)).status in (200, 401)
