"""No secret in any log, answer or page: a whole journey at level debug, searched for the real values of that journey.

Once in this process, with every record of our own loggers before anything is redacted; and once as `bff serve`.
"""

import asyncio
import io
import json
import logging
import os
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bff.telemetry.logging import configure_logging
from demo.simulator.grants import RotationPolicy
from tests.harness.canaries import Canaries, forms
from tests.harness.http_browser import Browser
from tests.harness.places import ROOT
from tests.harness.ports import free_port
from tests.harness.root_logger import taken_root_logger
from tests.harness.waiting import until
from tests.harness.world import World, small_world

REFERENCE = re.compile(r"<dt>Reference</dt><dd>([0-9a-f]{16})</dd>")
SHORT = RotationPolicy(access_token_lifetime=300)
EXPECTED = {
    *("client secret", "key", "cookie", "verifier", "code", "state", "nonce", "id_token_hint", "ticket"),
    *("access token", "refresh token", "ID token"),
}
ID_TOKENS_REFUSED: tuple[dict[str, Any], ...] = ({"nonce": "other"}, {"aud": "other"}, {"exp": 1}, {"sub": None})


async def journey(world: World, canaries: Canaries, browser: Browser, public_url: str) -> None:
    """Everything that logs: success, refusal, renewal, trouble, CSRF, forged answers, limits, sign-out."""
    control = world.okta.control
    answer = await browser.until_callback(return_to="/orders")
    await canaries.gather(browser)
    await browser.navigate(f"{public_url}/authorization-code/callback?code=stolen-code-000000&state=forged")
    await browser.arrive(answer)
    await canaries.gather(browser)
    await browser.arrive(answer)
    await browser.session()
    await browser.fetch("/api/orders?token=mine")
    await browser.fetch("/api/orders", "POST", headers={"x-csrf": "2"})
    world.upstream.answers = [500]
    await browser.fetch("/api/orders")
    await browser.http.get(public_url + "/api/x", headers={"cookie": "bff-session=a; bff-session=b"})
    for claims in ID_TOKENS_REFUSED:
        control.settings(id_token_claims=claims)
        browser.drop("bff-attempts")  # nobody tries that often within a minute
        await browser.sign_in()
    control.settings(id_token_claims={})
    for kind in ("server_error", "html", "broken_body", "invalid_client", "rate_limited", "access_denied", "reset"):
        control.fault(kind)
        browser.drop("bff-attempts")
        await browser.sign_in()
    control.fault("edit_answer", endpoint="userinfo", set={"sub": "other"})
    await browser.sign_in()
    mallory = Browser(public_url)
    await mallory.sign_in("mallory@example.com")
    await canaries.gather(mallory)
    await mallory.close()
    await browser.sign_in()
    await canaries.gather(browser)


async def sign_out(canaries: Canaries, browser: Browser) -> None:
    await canaries.gather(browser)
    ended = await browser.sign_out()
    await browser.navigate(ended["end_session_url"])
    await browser.session()
    await canaries.gather(browser)


class Recorder(logging.Handler):
    """Every record as it was made, with all its fields, its arguments and its exception."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def text(self) -> str:
        formatter = logging.Formatter()
        return "\n".join(f"{formatter.format(record)} {vars(record)!r}" for record in self.records)


@pytest.fixture
def logged() -> Iterator[tuple[Recorder, io.StringIO]]:
    """What our own loggers were given, and what the shipped configuration made of everybody's records."""
    recorder, ours = Recorder(), logging.getLogger("bff")
    with taken_root_logger() as stream:
        configure_logging("debug", "json", stream)
        ours.addHandler(recorder)
        yield recorder, stream
        ours.removeHandler(recorder)


@pytest.mark.case("LG-001", "LG-004", "LG-010", "CK-042")
@pytest.mark.parametrize("dpop", ["off", "on"])
async def test_no_secret_of_a_whole_journey_reaches_a_log(
    tmp_path: Path, logged: tuple[Recorder, io.StringIO], dpop: str
) -> None:
    recorder, stream = logged
    async with small_world(tmp_path, rotation=SHORT, log_level="debug", dpop=dpop) as world:
        browser = world.browser()
        canaries = Canaries(world.environ)
        await journey(world, canaries, browser, world.public_url)
        for kind in ("lose_answer", "server_error", "invalid_client", "rate_limited", None):
            world.advance(301)
            if kind:
                world.okta.control.fault(kind, grant="refresh_token")
            await browser.fetch("/api/renewed")
            await world.settled()
            await canaries.gather(browser)
        world.advance(61)
        await browser.fetch("/api/renewed")
        await sign_out(canaries, browser)
        await browser.sign_in()
        await canaries.gather(browser)
        world.okta.control.revoke_user("alice@example.com")
        world.advance(301)
        await browser.fetch("/api/x")
        bodies = "\n".join(f"{seen.text} {seen.headers}" for seen in browser.seen if is_ours(seen, world.public_url))
    assert canaries.known.keys() == EXPECTED | ({"DPoP key"} if dpop == "on" else set())
    assert len(canaries.known["refresh token"]) >= 4
    assert "signed in" in stream.getvalue()
    assert len(recorder.records) > 20
    assert canaries.found_in(recorder.text) == []
    assert canaries.found_in(stream.getvalue()) == []
    for what in ("access token", "refresh token", "client secret", "verifier", "key"):
        alone = Canaries({}, {what: canaries.known[what]})
        assert alone.found_in(bodies) == []


def is_ours(seen: Any, public_url: str) -> bool:
    return str(seen.request.url).startswith(public_url)


@pytest.mark.case("LG-019")
async def test_the_log_says_who_what_and_why(tmp_path: Path, logged: tuple[Recorder, Any]) -> None:
    """The reference that a refused person reads out leads to its line."""
    _, stream = logged
    async with small_world(tmp_path, rotation=SHORT) as world:
        browser = world.browser()
        await browser.sign_in()
        world.advance(301)
        await browser.fetch("/api/x")
        refused = [await browser.fetch("/api/x", headers={"x-csrf": "2"})]
        refused += [await browser.fetch("/auth/logout", "POST", headers={"x-csrf": "2"})]
        await browser.sign_out()
        browser.forget()
        page = await browser.sign_in("mallory@example.com")
        forged = await browser.arrive(f"{world.callback}?code=x&state=x")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    told = {line["message"]: line for line in lines if line["logger"].startswith("bff.")}
    assert {"signed in", "refresh", "session ended", "sign in refused"} <= told.keys()
    names = {told[message]["session"] for message in ("signed in", "refresh", "session ended")}
    assert len(names) == 1
    assert told["refresh"]["outcome"] == "renewed"
    assert told["session ended"]["reason"] == "signed_out"
    by_provider = next(line for line in lines if line.get("where") == "authorization endpoint")
    assert (by_provider["reason"], by_provider["error"]) == ("not_assigned", "access_denied")
    references = [each.json()["correlation_id"] for each in refused]
    references += [REFERENCE.findall(shown.text)[0] for shown in (page, forged)]
    found = {
        line["correlation_id"]: line.get("error", line.get("reason")) for line in lines if "correlation_id" in line
    }
    codes = ["csrf_required", "csrf_required", "not_assigned", "sign_in_state_invalid"]
    assert [found[reference] for reference in references] == codes
    assert all(line["time"].endswith("+00:00") for line in lines)


def test_the_search_finds_what_it_looks_for() -> None:
    """A search that finds nothing proves nothing unless it would have found something."""
    secret = "s3cret+/value=with.signs~and-length_enough"
    canaries = Canaries({}, {"secret": {secret}})
    for form, written in forms(secret):
        assert canaries.found_in(f"before {written} after"), form
    for before in ("", "a", "ab", "client:"):
        assert canaries.found_in(b64encode(f"{before}{secret}".encode()).decode())
    assert canaries.found_in("nothing to see") == []


# --- the shipped process ---------------------------------------------------------------------------------------------


@asynccontextmanager
async def served(world: World, directory: Path) -> AsyncIterator[tuple[str, dict[str, str], Path]]:
    """`bff serve` with everything in its environment; its URL, that environment, and the file that it writes to."""
    port = free_port()
    public_url = f"http://localhost:{port}"
    environ = {
        **world.environ,
        "BFF_PUBLIC_URL": public_url,
        "BFF_LISTEN": f"127.0.0.1:{port}",
        "BFF_MANAGEMENT_LISTEN": "off",
        "BFF_STORE": f"sqlite:///{directory / 'served.db'}",
        "BFF_LOG_LEVEL": "debug",
    }
    world.okta.control.register(
        redirect_uri=f"{public_url}/authorization-code/callback", post_logout_redirect_uri=f"{public_url}/"
    )
    written = directory / "served.log"
    with written.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bff", "serve"),
            env={"PATH": os.environ["PATH"], **environ},
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        await until(lambda: process.returncode is not None or "ready: open " in written.read_text())
        assert process.returncode is None, written.read_text()
        yield public_url, environ, written
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@pytest.mark.case("LG-001", "LG-004", "LG-008")
async def test_bff_serve_at_level_debug_writes_no_secret(tmp_path: Path) -> None:
    async with small_world(tmp_path, rotation=SHORT) as world:
        async with served(world, tmp_path) as (public_url, environ, written):
            browser = Browser(public_url)
            canaries = Canaries(environ)
            await journey(world, canaries, browser, public_url)
            await sign_out(canaries, browser)
            await browser.close()
        text = written.read_text()
    assert canaries.known.keys() == EXPECTED
    assert '"signed in"' in text
    assert '"session ended"' in text
    assert canaries.found_in(text) == []
