"""Binds sessions to keys of browsers (DBSC): registers keys, verifies the proofs of refreshes, and confirms bindings.

Challenges are sealed, so any replica verifies what another one has issued. The store lets each be used once.
"""

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, TypeAlias

from bff.base64url import encode_base64url
from bff.errors import StoreUnavailable
from bff.flows.background import BackgroundTasks
from bff.oidc.dbsc_proof import ProofProblem, ProofRefused, read_refresh, read_registration
from bff.session.device_binding import DeviceBinding, may_register
from bff.session.device_challenge import Challenge, Purpose, open_challenge, seal_challenge
from bff.session.keyring import KeyRing
from bff.session.session import Session, SessionKey
from bff.session.session_view import SessionView
from bff.session.store import Found, SessionStore, Viewed
from bff.telemetry import audit, metrics
from bff.telemetry.audit import AuditEvent
from bff.telemetry.audit_limit import AuditLimit

OFFER_LIFETIME: Final = 300.0  # seconds; creating a key in hardware takes a few
TRIES: Final = 5  # of a write that other writes to the same record precede


class ChallengeProblem(StrEnum):
    """Why a proof with a valid signature is refused: a closed list, as `ProofProblem`."""

    CHALLENGE_INVALID = "challenge_invalid"
    CHALLENGE_EXPIRED = "challenge_expired"
    CHALLENGE_USED = "challenge_used"
    OTHER_SESSION = "other_session"
    ALREADY_BOUND = "already_bound"


Problem: TypeAlias = ProofProblem | ChallengeProblem


class BindingRefused(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.value)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Offer:
    """What a response has for the browser, so that it registers a key."""

    challenge: str
    authorization: str


@dataclass(frozen=True, slots=True)
class BindingUrls:
    """Absolute URLs of the two routes."""

    registration: str
    refresh: str


class DeviceBindings:
    """One per application. `lifetime`: seconds for which a bound cookie is valid."""

    def __init__(
        self,
        store: SessionStore,
        ring: KeyRing,
        tasks: BackgroundTasks,
        urls: BindingUrls,
        *,
        lifetime: float,
    ) -> None:
        self._store, self._ring, self._tasks, self._urls = store, ring, tasks, urls
        # Of a challenge that was sent ahead: longer than a cookie, so that an active browser never needs a second trip.
        self._challenge_lifetime = 2 * lifetime
        self._confirming: set[SessionKey] = set()
        self._audit_limit = AuditLimit()

    def offer(self, session: SessionView, now: float) -> Offer | None:
        """None for a session that is bound already."""
        if not may_register(session.device_binding, now):
            return None
        return Offer(
            seal_challenge(self._ring, "device-registration", session.key, now),
            seal_challenge(self._ring, "device-authorization", session.key, now),
        )

    def next_challenge(self, session: SessionView, now: float) -> str:
        return seal_challenge(self._ring, "device-refresh", session.key, now)

    def record_refusal(self, problem: Problem, stored: Viewed) -> None:
        """Counts it, and records it once a minute: the route of refreshes has no rate limit.

        An expired challenge is expected: the browser was idle.
        """
        metrics.DEVICE_BINDING.labels(outcome="refused", reason=problem.value).inc()
        expected = problem is ChallengeProblem.CHALLENGE_EXPIRED
        if not expected and self._audit_limit.allows((stored.view.key, problem), stored.now):
            audit.record(AuditEvent.DEVICE_BINDING_REFUSED, problem.value, session=stored.view)

    async def register(self, stored: Found, compact: str) -> Session:
        """Binds the session to the key of a registration; the session as it is then.

        Raises BindingRefused and StoreUnavailable.
        """
        key, now = stored.session.key, stored.now
        try:
            proof = read_registration(compact, audience=self._urls.registration)
        except ProofRefused as refused:
            raise BindingRefused(refused.problem) from None
        self._valid(proof.challenge, "device-registration", key, now, OFFER_LIFETIME)
        self._valid(proof.authorization, "device-authorization", key, now, OFFER_LIFETIME)
        if not may_register(stored.session.device_binding, now):
            raise BindingRefused(ChallengeProblem.ALREADY_BOUND)
        await self._use_once(proof.authorization, now + OFFER_LIFETIME)
        binding = DeviceBinding(proof.key.jwk, proof.key.alg, proof.key.thumbprint, registered_at=now)
        for _ in range(TRIES):
            session = replace(stored.session, version=stored.session.version + 1, device_binding=binding)
            if (await self._store.replace(session, stored.session.version)).done:
                metrics.DEVICE_BINDING.labels(outcome="registered", reason="").inc()
                audit.record(AuditEvent.DEVICE_BOUND, "registered", session=session, alg=binding.alg)
                return session
            read = await self._store.get(key)
            if not isinstance(read, Found):
                raise StoreUnavailable(retry_after=1)  # it has just ended: the next request says so
            if not may_register(read.session.device_binding, read.now):
                raise BindingRefused(ChallengeProblem.ALREADY_BOUND)
            stored = read
        raise StoreUnavailable("The record changes too often.", retry_after=1)

    async def refresh(self, stored: Viewed, binding: DeviceBinding, compact: str) -> None:
        """Returns if the proof is right and new. Raises BindingRefused and StoreUnavailable."""
        try:
            text = read_refresh(compact, binding.public_key, binding.alg, audience=self._urls.refresh)
        except ProofRefused as refused:
            raise BindingRefused(refused.problem) from None
        challenge = self._valid(text, "device-refresh", stored.view.key, stored.now, self._challenge_lifetime)
        await self._use_once(text, max(challenge.issued_at, stored.now) + self._challenge_lifetime)
        metrics.DEVICE_BINDING.labels(outcome="refreshed", reason="").inc()

    def confirm(self, key: SessionKey, now: float) -> None:
        """Records, in the background, that a request has brought the bound cookie: from now on it is required."""
        if key not in self._confirming:
            self._confirming.add(key)
            self._tasks.start(self._confirm(key, now), "confirm device binding")

    async def _confirm(self, key: SessionKey, now: float) -> None:
        try:
            for _ in range(TRIES):
                read = await self._store.get(key)
                if not isinstance(read, Found):
                    return
                session = read.session
                if session.device_binding is None or session.device_binding.confirmed_at is not None:
                    return
                binding = replace(session.device_binding, confirmed_at=now)
                confirmed = replace(session, version=session.version + 1, device_binding=binding)
                if (await self._store.replace(confirmed, session.version)).done:
                    return
        except StoreUnavailable:
            return  # the next request confirms it
        finally:
            self._confirming.discard(key)

    def _valid(self, text: str, purpose: Purpose, key: SessionKey, now: float, lifetime: float) -> Challenge:
        challenge = open_challenge(self._ring, purpose, text)
        if challenge is None:
            raise BindingRefused(ChallengeProblem.CHALLENGE_INVALID)
        if challenge.key != key:
            raise BindingRefused(ChallengeProblem.OTHER_SESSION)
        if not challenge.is_valid(now, lifetime):
            raise BindingRefused(ChallengeProblem.CHALLENGE_EXPIRED)
        return challenge

    async def _use_once(self, text: str, until: float) -> None:
        digest = encode_base64url(hashlib.sha256(text.encode()).digest())
        if not await self._store.claim_once(f"device challenge:{digest}", until):
            raise BindingRefused(ChallengeProblem.CHALLENGE_USED)
