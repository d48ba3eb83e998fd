"""Two applications in one process, with different settings: neither influences the other."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from bff.app import build_app
from bff.config.settings import load_settings
from bff.telemetry.audit import AuditEvent
from tests.harness.audit_trail import Trail
from tests.harness.collector import collector
from tests.harness.patience import PATIENT
from tests.harness.settings import with_changes
from tests.harness.world import World, small_world

PARTNER = "https://partner.example"
FETCH = {"x-csrf": "1", "sec-fetch-site": "cross-site", "origin": PARTNER}


@pytest.mark.parametrize("started_last", ["sub", "fingerprint"])
async def test_each_application_names_users_and_records_spans_as_its_own_settings_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trail: Trail, started_last: str
) -> None:
    settings = {"sub": {"audit_subject": "sub", "tracing": "otlp"}, "fingerprint": {}}
    first = next(name for name in settings if name != started_last)
    subjects: dict[str, set[str]] = {}
    with collector() as collected:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collected.url)
        for name in settings:
            (tmp_path / name).mkdir()
        async with (
            small_world(tmp_path / first, timeouts=PATIENT, **settings[first]) as one,
            small_world(tmp_path / started_last, timeouts=PATIENT, **settings[started_last]) as other,
        ):
            worlds = {first: one, started_last: other}
            for name, world in worlds.items():
                trail.lines.clear()
                await (await world.signed_in()).sign_out()
                await world.settled()
                subjects[name] = {line["subject"] for line in trail.lines}
                assert [line["event"] for line in trail.lines] == [AuditEvent.SIGNED_IN, AuditEvent.SESSION_ENDED]
            expected = worlds["sub"].sub()
        spans = collected.spans
    assert subjects["sub"] == {expected}
    assert expected not in subjects["fingerprint"]
    assert len([span for span in spans if span.name == "provider code"]) == 1
    assert [span for span in spans if span.name == "provider revocation"], "work that outlives its request is recorded"
    at_start = [span for span in spans if span.name == "provider document" and not span.parent_id]
    assert at_start, "work of the lifespan is recorded"


@asynccontextmanager
async def two_worlds(directory: Path, *, plain_first: bool) -> AsyncIterator[tuple[World, World]]:
    """One with a style sheet and an allowed origin, and one without; built in either order."""
    style = directory / "pages.css"
    style.write_text(":root { --link: #b00020; }")
    for name in ("plain", "own"):
        (directory / name).mkdir()
    own = small_world(directory / "own", page_style_file=str(style), allowed_origins=PARTNER, landing_path="/start")
    plain = small_world(directory / "plain")
    if plain_first:
        async with plain as second, own as first:
            yield first, second
    else:
        async with own as first, plain as second:
            yield first, second


@pytest.mark.parametrize("plain_first", [True, False])
async def test_pages_cookies_and_origins_are_those_of_the_application_that_answers(
    tmp_path: Path, *, plain_first: bool
) -> None:
    async with two_worlds(tmp_path, plain_first=plain_first) as (own, plain):
        page, other = [
            await world.browser().navigate("/authorization-code/callback?state=forged&code=x") for world in (own, plain)
        ]
        assert "--link: #b00020" in page.text
        assert 'href="/start"' in page.text
        assert "--link: #b00020" not in other.text
        assert 'href="/start"' not in other.text
        policies = [answer.headers["content-security-policy"] for answer in (page, other)]
        assert policies[0] != policies[1]

        browsers = [await world.signed_in() for world in (own, plain)]
        statuses = [
            (await world.browser().http.get(f"{world.public_url}/api/x", headers=FETCH)).status_code
            for world in (own, plain)
        ]
        assert statuses == [401, 403], "the origin is allowed in one of them; neither request has a session"

        # The cookie of one application, presented to the other: another key sealed it.
        foreign = {"cookie": f"bff-session={browsers[0].cookie('bff-session')}", "x-csrf": "1"}
        answer = await plain.browser().http.get(f"{plain.public_url}/api/x", headers=foreign)
        assert (answer.status_code, answer.json()["reason"]) == (401, "key_removed")
        assert (await browsers[0].fetch("/api/x")).status_code == 200
        assert (await browsers[1].fetch("/api/x")).status_code == 200


async def test_each_application_clears_the_cookies_of_its_own_public_url(tmp_path: Path) -> None:
    """A 431 deletes login cookies, whose names depend on whether the public URL is https."""
    applications = [
        build_app(load_settings(with_changes(public_url=public_url, store=f"sqlite:///{tmp_path / name}")))
        for name, public_url in (("https.db", "https://app.example"), ("http.db", "http://localhost:8000"))
    ]
    headers = {"cookie": "__Host-Http-login-1=x; bff-login-1=x", "x-padding": "x" * 33_000}
    cleared = []
    for app in applications:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
            answer = await client.get("/", headers=headers)
        assert answer.status_code == 431
        cleared.append([line.partition("=")[0] for line in answer.headers.get_list("set-cookie")])
        await app.stores.sessions.close()
    assert cleared == [["__Host-Http-login-1"], ["bff-login-1"]]
