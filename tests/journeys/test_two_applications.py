"""Two applications in one process, with different settings: neither influences what the other records."""

import logging
from pathlib import Path

import pytest

from bff.telemetry.audit import AuditEvent
from tests.harness.collector import collector
from tests.harness.patience import PATIENT
from tests.harness.world import small_world
from tests.journeys.test_audit import Trail
from tests.journeys.test_provider_logout import signed_in, sub_of


@pytest.mark.parametrize("started_last", ["sub", "fingerprint"])
async def test_each_application_names_users_and_records_spans_as_its_own_settings_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started_last: str
) -> None:
    trail, logger = Trail(), logging.getLogger("bff.audit")
    logger.addHandler(trail)
    before = logger.level
    logger.setLevel(logging.INFO)  # not by setting the attribute: loggers cache which levels are enabled
    settings = {"sub": {"audit_subject": "sub", "tracing": "otlp"}, "fingerprint": {}}
    first = next(name for name in settings if name != started_last)
    subjects: dict[str, set[str]] = {}
    try:
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
                    browser = await signed_in(world)
                    await browser.sign_out()
                    await world.settled()
                    subjects[name] = {line["subject"] for line in trail.lines}
                    assert [line["event"] for line in trail.lines] == [AuditEvent.SIGNED_IN, AuditEvent.SESSION_ENDED]
                expected = sub_of(worlds["sub"])
            spans = collected.spans
    finally:
        logger.removeHandler(trail)
        logger.setLevel(before)
    assert subjects["sub"] == {expected}
    assert expected not in subjects["fingerprint"]
    assert len([span for span in spans if span.name == "provider code"]) == 1
    assert [span for span in spans if span.name == "provider revocation"], "work that outlives its request is recorded"
    at_start = [span for span in spans if span.name == "provider document" and not span.parent_id]
    assert at_start, "work of the lifespan is recorded"
