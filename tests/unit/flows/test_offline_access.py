"""A provider that gives no refresh token although one was asked for is noticed at the sign-in, not an hour later."""

import logging
from dataclasses import replace

import pytest

from bff.flows.offline_access import OfflineAccess
from bff.session.session import Session
from bff.telemetry.metrics import REGISTRY
from tests.harness.refresh_records import fresh

WITH, WITHOUT = fresh(), fresh(refresh_token=None)


def counted() -> float:
    return REGISTRY.get_sample_value("bff_sign_ins_without_refresh_token_total") or 0.0


@pytest.mark.parametrize(
    ("scopes", "sessions", "granted", "count", "warnings"),
    [
        (("openid", "offline_access"), [], None, 0, 0),
        (("openid", "offline_access"), [WITH], True, 0, 0),
        (("openid", "offline_access"), [WITHOUT], False, 1, 1),
        (("openid", "offline_access"), [WITHOUT] * 3, False, 3, 1),  # one line, however many sign in
        (("openid", "offline_access"), [WITHOUT, WITH, WITHOUT], False, 2, 2),
        (("openid",), [WITHOUT], None, 0, 0),
        (("openid",), [WITH], True, 0, 0),  # Keycloak gives one without being asked
    ],
)
def test_what_is_recorded(
    scopes: tuple[str, ...],
    sessions: list[Session],
    granted: bool | None,
    count: int,
    warnings: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    offline_access, before = OfflineAccess(scopes), counted()
    for session in sessions:
        offline_access.record(session)
    assert (offline_access.granted, counted() - before, len(caplog.records)) == (granted, count, warnings)


def test_the_log_says_whether_the_scope_was_granted(caplog: pytest.LogCaptureFixture) -> None:
    for scope in ("openid offline_access", "openid"):
        OfflineAccess(("offline_access",)).record(replace(WITHOUT, tokens=replace(WITHOUT.tokens, scope=scope)))
    assert [getattr(record, "scope_granted", None) for record in caplog.records] == [True, False]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
