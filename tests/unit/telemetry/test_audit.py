"""The audit trail: who, what and why, at a level that no setting disables."""

import logging

import pytest

from bff.session.session import EndReason
from bff.telemetry import audit
from bff.telemetry.audit import ENDED_BY, AuditEvent
from tests.harness.example_session import a_session


@pytest.mark.parametrize("subject_format", ["fingerprint", "sub"])
def test_a_line_names_session_subject_and_client(
    subject_format: audit.SubjectAs, caplog: pytest.LogCaptureFixture
) -> None:
    session = a_session()
    audit.set_subject_format(subject_format)
    audit.set_client_address(lambda: "203.0.113.7")
    with caplog.at_level(logging.INFO, "bff.audit"):
        audit.record(AuditEvent.SIGNED_IN, "code", session=session, tries=2)
    (record,) = caplog.records
    subject = session.user.sub if subject_format == "sub" else session.person
    fields = {name: vars(record)[name] for name in ("event", "reason", "session", "subject", "client", "tries")}
    assert fields == {
        "event": "signed_in",
        "reason": "code",
        "session": session.fingerprint,
        "subject": subject,
        "client": "203.0.113.7",
        "tries": 2,
    }
    assert session.key not in str(vars(record))


def test_what_any_client_can_cause_is_a_warning_and_so_rate_limited(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "bff.audit"):
        audit.record(AuditEvent.SIGN_IN_REFUSED, "state_mismatch")
        audit.record(AuditEvent.SESSION_ENDED, "idle_timeout")
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_every_reason_has_someone_who_ends_the_session() -> None:
    assert ENDED_BY.keys() == set(EndReason)
