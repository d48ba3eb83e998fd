"""Which tokens count, how often, and what is kept of them."""

from collections.abc import Iterator

import pytest

from bff.errors import BffError, ProviderUnavailable, StoreUnavailable
from bff.flows.security_events.receiver import verification_marker
from bff.oidc.jwks import parse_key_set
from bff.oidc.security_event_token import SecurityEventRefused
from bff.oidc.security_events import SSF
from bff.session.session import Session, User
from bff.telemetry import metrics
from bff.telemetry.audit import AuditEvent, logger
from tests.harness.audit_trail import Trail
from tests.harness.minting import OTHER_RSA_KEY, jwk, jwks
from tests.harness.security_events import DISABLED, REVOKED, iss_sub, security_event_token
from tests.unit.flows.parts import Parts
from tests.unit.flows.security_events.reception import Reception

ALICE = User("alice", "alice@example.com")


@pytest.fixture
def trail(caplog: pytest.LogCaptureFixture) -> Iterator[Trail]:
    handler = Trail()
    caplog.set_level("INFO", logger.name)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.fixture
async def session(parts: Parts) -> Session:
    return await parts.signed_in(user=ALICE, sid="sid-1", provider_session="okta-session-1")


async def test_a_token_counts_once_and_only_when_it_is_done(parts: Parts, session: Session) -> None:
    """Nothing is lost by a failure in between: the transmitter repeats what was not acknowledged."""
    reception = Reception(parts)
    compact = reception.token(DISABLED)
    parts.data.down = True
    with pytest.raises(StoreUnavailable):
        await reception.deliver(compact)
    parts.data.down = False
    await reception.deliver(compact)
    assert await parts.stored(session) is None
    polled = metrics.SECURITY_EVENTS.labels(event="", outcome="duplicate")
    before = polled._value.get()
    await reception.deliver(compact)
    assert polled._value.get() == before + 1


async def test_an_event_narrowed_by_a_critical_member_ends_nothing(parts: Parts, session: Session) -> None:
    reception = Reception(parts)
    subject = {"format": "complex", "user": iss_sub("alice"), "device": {"format": "opaque", "id": "device-1"}}
    reception.transmitter.critical = ["user", "device"]
    await reception.deliver(reception.token(DISABLED, subject, jti="critical"))
    assert await parts.stored(session) is not None
    reception.transmitter.critical = ["user"]
    await reception.deliver(reception.token(DISABLED, subject, jti="not critical"))
    assert await parts.stored(session) is None


async def test_without_keys_a_token_is_neither_valid_nor_refused(parts: Parts, session: Session) -> None:
    reception = Reception(parts)
    reception.transmitter.down = True
    with pytest.raises(ProviderUnavailable):
        await reception.deliver(reception.token(DISABLED))
    with pytest.raises(SecurityEventRefused):
        await reception.deliver("x.y.z")
    assert await parts.stored(session) == session


async def test_a_key_of_a_rotation_is_fetched_once(parts: Parts, session: Session) -> None:
    reception = Reception(parts)
    reception.transmitter.key_sets.append(parse_key_set(jwks(jwk(OTHER_RSA_KEY, "k2"))))
    await reception.deliver(reception.token(DISABLED, key=OTHER_RSA_KEY, header={"kid": "k2"}))
    assert await parts.stored(session) is None


@pytest.mark.parametrize(
    "changes",
    [{"aud": "https://another.example"}, {"iss": "https://another.example"}, {"key": OTHER_RSA_KEY}, {"jti": None}],
    ids=["aud", "iss", "key", "jti"],
)
async def test_a_wrong_token_ends_nothing(parts: Parts, session: Session, changes: dict[str, object]) -> None:
    reception = Reception(parts)
    with pytest.raises(BffError) as refused:
        await reception.deliver(reception.token(DISABLED, **changes))
    assert refused.value.code == "security_event_refused"
    assert await parts.stored(session) == session


async def test_the_trail_names_the_event_and_the_session_at_okta(parts: Parts, session: Session, trail: Trail) -> None:
    reception = Reception(parts)
    await reception.deliver(reception.token(REVOKED, jti="set-1"))
    ended = trail.only(AuditEvent.SESSION_ENDED)
    assert (ended["reason"], ended["by"], ended["security_event"]) == ("security_event", "provider", "session-revoked")
    assert ended["provider_session"] == "okta-session-1"
    accepted = trail.only(AuditEvent.SECURITY_EVENT_ACCEPTED)
    assert {name: accepted[name] for name in ("reason", "action", "outcome", "sessions", "jti")} == {
        "reason": "session-revoked",
        "action": "end",
        "outcome": "ended",
        "sessions": 1,
        "jti": "set-1",
    }
    assert "security_event" not in accepted


async def test_events_of_the_stream_are_kept_for_the_doctor_and_reported(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    reception = Reception(parts)
    events = {f"{SSF}verification": {"state": "s-1"}, f"{SSF}stream-updated": {"status": "paused"}}
    await reception.deliver(security_event_token(parts.now, events, sub_id={"format": "opaque", "id": "stream-1"}))
    assert await parts.store.get_marker(verification_marker("s-1")) is not None
    assert await parts.store.get_marker(verification_marker("s-2")) is None
    (error,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert error.__dict__["status"] == "paused"


async def test_each_event_of_a_token_acts(parts: Parts, session: Session) -> None:
    reception, bob = Reception(parts), await parts.signed_in(user=User("bob"))
    payloads = {DISABLED: {"subject": iss_sub("bob")}, REVOKED: {"subject": {"user": iss_sub("alice")}}}
    await reception.deliver(security_event_token(parts.now, payloads))
    assert (await parts.stored(session), await parts.stored(bob)) == (None, None)
