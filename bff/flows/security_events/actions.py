"""Carries out what a security event causes: ends sessions, or requires a renewal or a step-up of them."""

from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias, assert_never

from bff.config.provider import ProviderSettings
from bff.errors import StoreUnavailable
from bff.flows.logout.end_sessions import EndSessions
from bff.oidc.security_event_subject import EmailUser, IssuerUser, Subject, User
from bff.oidc.security_events import Action, SecurityEvent
from bff.session.required_action import require_renewal, require_step_up
from bff.session.session import EndReason, Session, SessionKey
from bff.session.store import Found, IndexName, SessionStore

WRITES: Final = 8  # attempts to change one record that others change meanwhile

Outcome: TypeAlias = Literal["ended", "renewal_required", "step_up_required", "recorded", "no_session", "unsupported"]
Change: TypeAlias = Callable[[Session, float], Session | None]


class SecurityEventActions:
    """`issuers` are those that a subject may name: the ID tokens' issuer, its org, and the transmitter."""

    def __init__(
        self, store: SessionStore, end_sessions: EndSessions, provider: ProviderSettings, transmitter: str
    ) -> None:
        self._store, self._end_sessions, self._provider = store, end_sessions, provider
        self._issuers = {issuer.rstrip("/") for issuer in (*provider.logout_issuers, transmitter)}

    async def carry_out(self, event: SecurityEvent, action: Action) -> tuple[Outcome, int]:
        """The outcome, and how many sessions changed. Raises StoreUnavailable: repeat it, what is done is skipped."""
        if action == "record":
            return "recorded", 0
        if event.subject is None or not self._is_supported(event.subject):
            return "unsupported", 0
        # An event cannot be later than its receipt. Nor may it end a session that began after it.
        at = min(event.at, await self._store.now())
        match action:
            case "end" | "end-all":
                ended = await self._end(event.subject, at, everywhere=action == "end-all")
                return ("ended", len(ended)) if ended else ("no_session", 0)
            case "renew":
                self._end_sessions.forget_recent_records()
                changed = await self._change(event.subject, at, lambda session, now: require_renewal(session, at, now))
                return ("renewal_required", changed) if changed else ("no_session", 0)
            case "step-up":
                self._end_sessions.forget_recent_records()
                changed = await self._change(event.subject, at, lambda session, _: require_step_up(session, at))
                return ("step_up_required", changed) if changed else ("no_session", 0)
            case _:
                assert_never(action)

    def _is_supported(self, subject: Subject) -> bool:
        match subject.user:
            case None:
                return subject.session is not None
            case EmailUser():
                return subject.session is not None or self._provider.requests_email
            case IssuerUser(iss):
                return iss is None or iss.rstrip("/") in self._issuers
            case _:
                assert_never(subject.user)

    async def _end(self, subject: Subject, at: float, *, everywhere: bool) -> Sequence[Session]:
        reason, user, session = EndReason.SECURITY_EVENT, subject.user, subject.session
        if session is not None and (user is None or not everywhere):
            sub = user.sub if isinstance(user, IssuerUser) else None
            return await self._end_sessions.of_provider_session(session, reason, sub=sub, at=at)
        if user is None:
            return ()
        index, value = _indexed(user)
        return await self._end_sessions.of_user(index, value, reason, at=at)

    async def _change(self, subject: Subject, at: float, change: Change) -> int:
        """Applies `change` to the sessions of a subject that began by `at`; returns how many changed."""
        if subject.session is not None:
            named = await self._store.find("sid", subject.session)
            if isinstance(subject.user, IssuerUser):
                named = [session for session in named if session.user.sub == subject.user.sub]
        elif subject.user is not None:
            index, value = _indexed(subject.user)
            named = [session for session in await self._store.find(index, value) if session.sign_in_began_by(at)]
        else:
            named = ()
        mine = [session.key for session in named if session.issuer == self._provider.issuer]
        return sum([await self._rewrite(key, change) for key in mine])

    async def _rewrite(self, key: SessionKey, change: Change) -> bool:
        for _ in range(WRITES):
            stored = await self._store.get(key)
            if not isinstance(stored, Found):
                return False
            changed = change(stored.session, stored.now)
            if changed is None:
                return False
            if (await self._store.replace(changed, stored.session.version)).done:
                return True
        raise StoreUnavailable("A session changed too often to be changed.", retry_after=1)


def _indexed(user: User) -> tuple[IndexName, str]:
    match user:
        case IssuerUser(sub=sub):
            return "sub", sub
        case EmailUser(email):
            return "email", email
        case _:
            assert_never(user)
