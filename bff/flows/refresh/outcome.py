"""Writes the outcome of a refresh to the record: no caller gets a token before it is durable."""

import asyncio
import logging
from dataclasses import replace
from typing import assert_never

from bff.config.provider import ProviderSettings
from bff.errors import StoreUnavailable
from bff.flows.id_tokens import IdTokenValidator, Mismatched, SameUser, Unverified, UserCheck, WrongUser, record_ignored
from bff.flows.logout.end_session import EndSession
from bff.flows.refresh.reservation import Reserved
from bff.flows.refresh.timing import RefreshTiming
from bff.oidc.token import Granted, TokenResult
from bff.session.session import EndReason, Session, User
from bff.session.store import Found, SessionStore
from bff.session.timing import end_of_session
from bff.session.token_response import Ended, Pending, RefreshResult, Renewed, Superseded, apply_token_response
from bff.telemetry import metrics

logger = logging.getLogger(__name__)

VERIFY_TIMEOUT = 1.0  # seconds to validate an ID token before the write, which does not wait for the provider
MAX_WRITE_PAUSE = 1.0
KEEP_GRANTED_FOR = 900.0  # seconds to keep retrying the write of new tokens while the store is unavailable


class RefreshOutcomes:
    def __init__(
        self,
        store: SessionStore,
        id_tokens: IdTokenValidator,
        end_session: EndSession,
        timing: RefreshTiming,
        provider: ProviderSettings,
    ) -> None:
        self._store, self._id_tokens, self._end_session = store, id_tokens, end_session
        self._policy, self._provider = timing.policy, provider

    async def store(self, reservation: Reserved, answer: TokenResult) -> RefreshResult:
        """Applies `answer` to the current record and writes it. Raises StoreUnavailable when it cannot be written."""
        reserved, clock = reservation.session, reservation.clock
        if isinstance(answer, Granted):
            answer = Granted(self._id_tokens.decrypted(answer.tokens))
        user_check = await self._check_user(reserved, answer, clock.now())
        # A rotated token exists only in this process. Unwritten, the session is lost after the grace period, so the
        # write is retried however long the store is unavailable; any other outcome can be determined again.
        keep_trying_until = clock.now() + (KEEP_GRANTED_FOR if isinstance(answer, Granted) else self._policy.lease)
        pause = 0.05
        while True:
            try:
                result = await self._write(reserved, answer, user_check)
                if result is not None:
                    return result
                metrics.STORE_CONFLICTS.inc()
            except StoreUnavailable as error:
                # A permanent store error: the record is too large.
                if clock.now() >= keep_trying_until or error.code != StoreUnavailable.code:
                    logger.error("a refresh outcome could not be stored", extra={"session": reserved.fingerprint})
                    raise
                await asyncio.sleep(pause)
                pause = min(2 * pause, MAX_WRITE_PAUSE)

    async def _write(self, reserved: Session, answer: TokenResult, user_check: UserCheck) -> RefreshResult | None:
        """One read, one decision, one conditional write; None when the record changed in between."""
        key = reserved.key
        stored = await self._store.get(key)
        if not isinstance(stored, Found):
            # A deleted session is never recreated; tokens that arrive for it are revoked, unless that could end the
            # session that replaced it.
            if self._provider.revokes_single_tokens or await self._store.get_end_reason(key) != EndReason.REPLACED:
                self._revoke(answer)
            return Superseded()
        session = stored.session
        lost = session.attempt is None or session.version < reserved.version
        if lost and session.rotation == reserved.rotation:
            # A store failover lost our reservation and no other replica took over: the response still applies.
            session = replace(session, attempt=reserved.attempt)
        result = apply_token_response(session, reserved, answer, stored.now, self._policy)
        if isinstance(result, Renewed):
            match user_check:
                case WrongUser():
                    result = Ended(EndReason.SUBJECT_CHANGED)
                case Mismatched():
                    result = Ended(EndReason.ID_TOKEN_MISMATCH)
                case SameUser() | Unverified():
                    result = Renewed(_with_user(result.session, session, user_check, self._policy.max_session_lifetime))
                case never:
                    assert_never(never)
        match result:
            case Renewed(written) | Pending(written) | Superseded(Session() as written):
                return result if (await self._store.replace(written, session.version)).done else None
            case Superseded():
                return result
            case Ended(reason):
                if await self._end_session.end(key, reason, expected_version=session.version) is None:
                    return None
                self._revoke(answer)
                return result
            case _:
                assert_never(result)

    async def _check_user(self, reserved: Session, answer: TokenResult, now: float) -> UserCheck:
        if not isinstance(answer, Granted) or answer.tokens.id_token is None:
            return Unverified()
        try:
            async with asyncio.timeout(VERIFY_TIMEOUT):
                return await self._id_tokens.at_refresh(answer.tokens.id_token, reserved, now=now)
        except TimeoutError:
            record_ignored(reserved, f"the provider's keys or metadata took longer than {VERIFY_TIMEOUT:g} s")
            return Unverified()

    def _revoke(self, answer: TokenResult) -> None:
        if isinstance(answer, Granted):
            metrics.REFRESH.labels(outcome="revoked_orphan", reason="").inc()
            self._end_session.revocations.discarded(answer.tokens)


def _with_user(renewed: Session, before: Session, user_check: SameUser | Unverified, max_lifetime: float) -> Session:
    """Claims change in the same write as the tokens. An ID token that failed validation replaces nothing."""
    if isinstance(user_check, SameUser):
        user = User(before.user.sub, user_check.email or before.user.email, {**before.user.claims, **user_check.claims})
        acr, amr = user_check.acr or before.acr, list(user_check.amr) or before.amr
        withdrawn = sorted(user_check.withdrawn & user.claims.keys())
        renewed = replace(renewed, user=user, acr=acr, amr=amr, withdrawn_claims=withdrawn or None)
        if user_check.session_expiry is None:
            return renewed
        ends_at = end_of_session(before.signed_in_at, max_lifetime, user_check.session_expiry)
        return replace(renewed, ends_at=ends_at)
    return replace(renewed, tokens=replace(renewed.tokens, id_token=before.tokens.id_token))
