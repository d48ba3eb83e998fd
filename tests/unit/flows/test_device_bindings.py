"""Registrations and refreshes while other writes change the record, and while the store is away."""

from dataclasses import replace

import pytest

from bff.errors import StoreUnavailable
from bff.flows.background import BackgroundTasks
from bff.flows.device_bindings import BindingRefused, BindingUrls, ChallengeProblem, DeviceBindings
from bff.session.device_binding import DeviceBinding
from bff.session.keyring import KeyRing, new_key
from bff.session.session import EndReason, Session
from bff.session.store import Found
from bff.telemetry import audit
from tests.harness.audit_trail import Trail
from tests.harness.example_session import a_session, next_version
from tests.harness.memory_store import MemoryData, MemoryStore
from tests.harness.minting import EC_KEY, RSA_KEY, PrivateKey, jwk, mint

NOW = 1_000_000.0
RING = KeyRing.from_keys([new_key()])
URLS = BindingUrls("https://app.example.com/register", "https://app.example.com/refresh")


class Parts:
    def __init__(self) -> None:
        self.data = MemoryData(clock=lambda: NOW)
        self.store, self.tasks = MemoryStore(self.data, RING), BackgroundTasks()
        self.bindings = DeviceBindings(self.store, RING, self.tasks, URLS, lifetime=600)

    async def stored(self, session: Session) -> Found:
        stored = await self.store.get(session.key)
        assert isinstance(stored, Found)
        return stored

    def registration(self, session: Session, key: PrivateKey = EC_KEY, alg: str = "ES256") -> str:
        offer = self.bindings.offer(session, NOW)
        assert offer is not None
        header = {"alg": alg, "typ": "dbsc+jwt", "jwk": jwk(key, kid=None)}  # type: ignore[arg-type]
        claims = {"jti": offer.challenge, "authorization": offer.authorization}
        return mint(claims, header, key=key, alg=alg)


@pytest.fixture
async def parts() -> Parts:
    return Parts()


@pytest.fixture
async def session(parts: Parts) -> Session:
    session = a_session(NOW)
    await parts.store.create(session)
    return session


async def test_a_registration_survives_another_write_to_the_record(parts: Parts, session: Session) -> None:
    stored, proof = await parts.stored(session), parts.registration(session)
    assert (await parts.store.replace(next_version(session, rejected_token="x"), session.version)).done
    await parts.bindings.register(stored, proof)
    after = (await parts.stored(session)).session
    assert after.rejected_token == "x"
    assert after.device_binding is not None
    assert after.device_binding.registered_at == NOW


async def test_of_two_registrations_at_once_one_wins(parts: Parts, session: Session) -> None:
    stored, proof = await parts.stored(session), parts.registration(session)
    other = parts.registration(session, RSA_KEY, "RS256")
    await parts.bindings.register(stored, proof)
    with pytest.raises(BindingRefused) as refused:
        await parts.bindings.register(stored, other)
    assert refused.value.problem is ChallengeProblem.ALREADY_BOUND


async def test_a_session_that_ends_meanwhile_is_not_bound(parts: Parts, session: Session) -> None:
    stored, proof = await parts.stored(session), parts.registration(session)
    await parts.store.delete(session.key, EndReason.SIGNED_OUT)
    with pytest.raises(StoreUnavailable):
        await parts.bindings.register(stored, proof)


async def test_a_binding_is_confirmed_beside_other_writes_and_later_if_the_store_is_away(
    parts: Parts, session: Session
) -> None:
    binding = DeviceBinding(jwk(EC_KEY, kid=None), "ES256", "t", NOW)
    unconfirmed = next_version(session, device_binding=binding)
    assert (await parts.store.replace(unconfirmed, session.version)).done
    parts.data.down = True
    parts.bindings.confirm(unconfirmed.key, NOW + 1)
    await parts.tasks.drain(60)
    parts.data.down = False
    later = next_version(unconfirmed, rejected_token="x")
    assert (await parts.store.replace(later, unconfirmed.version)).done
    for _ in range(2):
        parts.bindings.confirm(unconfirmed.key, NOW + 5)
    await parts.tasks.drain(60)
    after = (await parts.stored(session)).session
    assert after.device_binding == replace(binding, confirmed_at=NOW + 5)
    assert after.version == later.version + 1, "one write"
    assert after.rejected_token == "x"


async def test_a_refresh_while_the_store_is_away_uses_no_challenge_up(parts: Parts, session: Session) -> None:
    binding = DeviceBinding(jwk(EC_KEY, kid=None), "ES256", "t", NOW)
    now = (await parts.stored(session)).now
    stored = Found(now, replace(session, device_binding=binding), now)
    challenge = parts.bindings.next_challenge(session, NOW)
    proof = mint({"jti": challenge}, {"alg": "ES256", "typ": "dbsc+jwt"}, key=EC_KEY, alg="ES256")
    parts.data.down = True
    with pytest.raises(StoreUnavailable):
        await parts.bindings.refresh(stored, binding, proof)
    parts.data.down = False
    await parts.bindings.refresh(stored, binding, proof)
    with pytest.raises(BindingRefused) as refused:
        await parts.bindings.refresh(stored, binding, proof)
    assert refused.value.problem is ChallengeProblem.CHALLENGE_USED


async def test_the_audit_trail_has_one_line_a_minute_of_each_reason_for_refused_proofs(
    parts: Parts, session: Session
) -> None:
    """The route of refreshes has no rate limit: who has the public id of a session can send proofs freely."""
    stored, trail = await parts.stored(session), Trail()
    audit.logger.addHandler(trail)
    try:
        for after in (0, 1, 59, 60):
            later = Found(NOW + after, stored.session, stored.last_seen_at)
            for problem in (ChallengeProblem.CHALLENGE_USED, ChallengeProblem.OTHER_SESSION):
                parts.bindings.record_refusal(problem, later)
            parts.bindings.record_refusal(ChallengeProblem.CHALLENGE_EXPIRED, later)
    finally:
        audit.logger.removeHandler(trail)
    assert len(trail.lines) == 4
