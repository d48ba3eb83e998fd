"""What an event does to whom: the sessions it names, that began before it, and no others."""

from typing import Any

import pytest

from bff.errors import ProviderUnavailable, StepUpRequired, StoreUnavailable
from bff.flows.security_events.actions import SecurityEventActions
from bff.oidc.security_event_subject import EmailUser, IssuerUser, Subject
from bff.oidc.security_event_subject import User as NamedUser
from bff.oidc.security_events import CAEP, RISC, SecurityEvent
from bff.session.session import EndReason, Session, User
from tests.harness.minting import ISSUER
from tests.harness.security_events import CREDENTIAL, DISABLED, REVOKED, TRANSMITTER, iss_sub, of_session
from tests.harness.virtual_time import time_passes
from tests.unit.flows.parts import Ends, Parts
from tests.unit.flows.security_events.reception import Reception, custom

ALICE = User("alice", "alice@example.com")
EMAIL = {"format": "email", "email": "Alice@Example.com"}


async def two_sessions(parts: Parts) -> tuple[Session, Session]:
    return await parts.signed_in(user=ALICE, sid="sid-1"), await parts.signed_in(user=ALICE, sid="sid-2")


@pytest.mark.parametrize(
    ("event", "subject", "payload", "ended"),
    [
        (REVOKED, of_session("sid-1", "alice"), {}, [1, 0]),
        (REVOKED, of_session("sid-1", "bob"), {}, [0, 0]),
        (REVOKED, of_session("sid-3", "alice"), {}, [0, 0]),
        (REVOKED, {"format": "complex", "session": {"format": "opaque", "id": "sid-2"}}, {}, [0, 1]),
        (REVOKED, {**of_session("sid-1", "alice"), "user": EMAIL}, {}, [1, 0]),
        (REVOKED, {**of_session("sid-1", "alice"), "user": {**EMAIL, "email": "bob@example.com"}}, {}, [0, 0]),
        (REVOKED, iss_sub("alice"), {}, [1, 1]),
        (REVOKED, custom("alice"), {}, [1, 1]),
        (REVOKED, iss_sub("alice", "https://another.example"), {}, [0, 0]),
        (REVOKED, iss_sub("bob"), {}, [0, 0]),
        (REVOKED, EMAIL, {}, [1, 1]),
        (REVOKED, {"format": "opaque", "id": "alice"}, {}, [1, 1]),
        (REVOKED, {"format": "phone_number", "phone_number": "+1"}, {}, [0, 0]),
        (CREDENTIAL, of_session("sid-1", "alice"), {"change_type": "revoke"}, [1, 1]),
        (CREDENTIAL, iss_sub("alice"), {"change_type": "create"}, [0, 0]),
        (DISABLED, iss_sub("alice"), {}, [1, 1]),
        (f"{RISC}account-enabled", iss_sub("alice"), {}, [0, 0]),
        (f"{CAEP}no-such-event", iss_sub("alice"), {}, [0, 0]),
    ],
)
async def test_an_event_ends_the_sessions_it_names(
    parts: Parts, event: str, subject: Any, payload: dict[str, Any], ended: list[int]
) -> None:
    reception, sessions = Reception(parts), await two_sessions(parts)
    await reception.deliver(reception.token(event, subject, payload=payload))
    assert [int(await parts.stored(session) is None) for session in sessions] == ended
    for session, gone in zip(sessions, ended, strict=True):
        assert await parts.end_reason(session) is (EndReason.SECURITY_EVENT if gone else None)


@pytest.mark.parametrize(("after", "ends"), [(-1.0, False), (0.0, True), (1.0, True), (10.0**7, True)])
async def test_an_event_of_a_person_spares_sessions_that_began_after_it(parts: Parts, after: float, ends: bool) -> None:
    """A time in the future counts as now. It says when, and not how long, so a later sign-in stays."""
    reception = Reception(parts)
    session = await parts.signed_in(user=ALICE)
    await time_passes(30)
    await reception.deliver(reception.token(DISABLED, at=session.signed_in_at + after))
    assert (await parts.stored(session) is None) is ends
    await time_passes(1)
    later = await parts.signed_in(user=ALICE)
    await reception.deliver(reception.token(DISABLED, at=later.signed_in_at - 0.5))
    assert await parts.stored(later) == later


async def test_a_sign_in_under_way_ends_with_the_event_and_its_streams_are_closed(parts: Parts) -> None:
    reception, closed = Reception(parts), Ends()
    session = await parts.signed_in(user=ALICE)
    parts.streams.register(session, closed, endless=True)
    began = parts.now
    await time_passes(5)
    await reception.deliver(reception.token(REVOKED))
    assert len(closed) == 1
    await parts.settled()
    assert parts.provider.revoked == [session.tokens.refresh_token]
    under_way = await parts.signed_in(user=ALICE, sign_in_began_at=began)
    assert await parts.markers.covers(under_way)


CLAIMS, ASSURANCE = f"{CAEP}token-claims-change", f"{CAEP}assurance-level-change"


async def test_changed_claims_force_a_renewal_at_the_next_request(parts: Parts) -> None:
    reception, session = Reception(parts), await parts.signed_in(user=ALICE, sid="sid-1")
    other = await parts.signed_in(user=User("bob"))
    compact = reception.token(CLAIMS)
    await reception.deliver(compact)
    renewed = await parts.refresh.session_with_fresh_token(session.key)
    assert renewed.tokens.access_token == "access-1"
    assert (await parts.refresh.session_with_fresh_token(other.key)).tokens.access_token == other.tokens.access_token
    await time_passes(1)
    await reception.deliver(reception.token(CLAIMS, of_session("sid-1", "alice"), at=parts.now - 2))
    assert await parts.stored(session) == await parts.stored(renewed), "the tokens are newer than the event"


async def test_while_the_provider_is_away_a_forced_renewal_signs_nobody_out(parts: Parts) -> None:
    reception, session = Reception(parts), await parts.signed_in(user=ALICE)
    await reception.deliver(reception.token(CLAIMS))
    parts.provider.delay = 3600
    with pytest.raises(ProviderUnavailable):
        await parts.refresh.session_with_fresh_token(session.key)
    assert await parts.stored(session) is not None


async def test_a_lower_assurance_requires_a_step_up_until_the_next_sign_in(parts: Parts) -> None:
    reception, session = Reception(parts), await parts.signed_in(user=ALICE, browser="b")
    await reception.deliver(reception.token(ASSURANCE, payload={"change_direction": "decrease"}))
    with pytest.raises(StepUpRequired) as required:
        await parts.refresh.session_with_fresh_token(session.key)
    assert required.value.max_age == 0
    await time_passes(1)
    again = await parts.signed_in(user=ALICE, browser="b", auth_time=parts.now)
    await reception.deliver(reception.token(ASSURANCE, at=parts.now - 1))
    assert (await parts.refresh.session_with_fresh_token(again.key)).key == again.key


async def test_an_operator_decides_otherwise() -> None:
    parts = Parts(security_events_actions="account-disabled=step-up session-revoked=record")
    reception, session = Reception(parts), await parts.signed_in(user=ALICE)
    await reception.deliver(reception.token(REVOKED))
    await parts.refresh.session_with_fresh_token(session.key)
    await reception.deliver(reception.token(DISABLED))
    with pytest.raises(StepUpRequired):
        await parts.refresh.session_with_fresh_token(session.key)


@pytest.mark.parametrize(
    ("subject", "scopes", "outcome"),
    [
        (Subject(EmailUser("alice@example.com")), "openid", "unsupported"),
        (Subject(EmailUser("bob@example.com")), "openid email", "no_session"),
        (Subject(EmailUser("alice@example.com"), "sid-1"), "openid", "ended"),
        (Subject(IssuerUser(None, "alice")), "openid", "ended"),
        (None, "openid", "unsupported"),
    ],
)
async def test_the_outcome_says_why_nothing_happened(subject: Subject | None, scopes: str, outcome: str) -> None:
    parts = Parts(scopes=scopes)
    await parts.signed_in(user=ALICE, sid="sid-1")
    actions = SecurityEventActions(parts.store, parts.end_sessions, parts.settings.provider, TRANSMITTER)
    assert (await actions.carry_out(SecurityEvent("x", parts.now, subject), "end"))[0] == outcome


@pytest.mark.parametrize(
    ("user", "outcome"),
    [
        (IssuerUser("https://devices.example", "alice"), "unsupported"),
        (IssuerUser(None, "alice"), "unsupported"),
        (IssuerUser(TRANSMITTER, "alice"), "ended"),
        (IssuerUser(ISSUER, "alice"), "ended"),
        (EmailUser("alice@example.com"), "ended"),
    ],
)
async def test_the_ids_of_another_party_are_not_those_of_the_provider(
    parts: Parts, user: NamedUser, outcome: str
) -> None:
    """Its `alice` may be anybody (RFC 9493 section 3.2.3: a `sub` identifies a user together with its `iss`)."""
    await parts.signed_in(user=ALICE)
    provider = parts.settings.provider
    actions = SecurityEventActions(parts.store, parts.end_sessions, provider, "https://devices.example")
    assert (await actions.carry_out(SecurityEvent("x", parts.now, Subject(user)), "end"))[0] == outcome


@pytest.mark.parametrize(
    ("issuer", "transmitter", "outcome"),
    [
        ("https://id.example.com/oauth2/default", "https://example.okta.com", "ended"),  # a custom domain of the org
        ("https://id.example.com/", "https://id.example.com", "ended"),
        ("https://id.example.com/one", "https://id.example.com/two", "unsupported"),
    ],
)
async def test_a_transmitter_of_the_provider_names_its_users(issuer: str, transmitter: str, outcome: str) -> None:
    parts = Parts(issuer=issuer)
    await parts.signed_in(user=ALICE)
    actions = SecurityEventActions(parts.store, parts.end_sessions, parts.settings.provider, transmitter)
    event = SecurityEvent("x", parts.now, Subject(IssuerUser(transmitter, "alice")))
    assert (await actions.carry_out(event, "end"))[0] == outcome


async def test_a_record_that_changes_meanwhile_is_read_again(parts: Parts) -> None:
    """Here at every attempt, so that the transmitter delivers again."""
    reception, session = Reception(parts), await parts.signed_in(user=ALICE)
    replace = parts.store.replace

    async def too_late(changed: Session, expected_version: int) -> Any:
        return await replace(changed, expected_version + 1)

    parts.store.replace = too_late  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        await reception.deliver(reception.token(CLAIMS))
    parts.store.replace = replace  # type: ignore[method-assign]
    assert await parts.stored(session) == session
