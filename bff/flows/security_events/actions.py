"""Carries out what a security event causes: ends sessions, or requires a renewal or a step-up of them."""

from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias, assert_never

from bff.config.provider import ProviderSettings, is_okta
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
    """A subject may name the ID tokens' issuer, its org, and the transmitter if that belongs to the provider.

    Another party (a manager of devices, a hub) has ids of its own, which may be those of other users at the provider.
    """

    def __init__(
        self, store: SessionStore, end_sessions: EndSessions, provider: ProviderSettings, transmitter: str
    ) -> None:
        self._store, self._end_sessions, self._provider = store, end_sessions, provider
        self._issuers = {issuer.rstrip("/") for issuer in provider.logout_issuers}
        # On a custom domain an org of Okta still transmits under its own.
        self._of_provider = transmitter.rstrip("/") in self._issuers or (provider.at_okta and is_okta(transmitter))
        if self._of_provider:
            self._issuers.add(transmitter.rstrip("/"))

    async def carry_out(self, event: SecurityEvent, action: Action) -> tuple[Outcome, int]:
        """The outcome, and how many sessions changed. Raises StoreUnavailable: repeat it, what is done is skipped."""
        if action == "record":
            return "recorded", 0
        subject = self._supported(event.subject)
        if subject is None:
            return "unsupported", 0
        # An event cannot be later than its receipt. Nor may it end a session that began after it.
        at = min(event.at, await self._store.now())
        match action:
            case "end" | "end-all":
                ended = await self._end(subject, at, everywhere=action == "end-all")
                return ("ended", len(ended)) if ended else ("no_session", 0)
            case "renew":
                self._end_sessions.forget_recent_records()
                changed = await self._change(subject, at, lambda session, now: require_renewal(session, at, now))
                return ("renewal_required", changed) if changed else ("no_session", 0)
            case "step-up":
                self._end_sessions.forget_recent_records()
                changed = await self._change(subject, at, lambda session, _: require_step_up(session, at))
                return ("step_up_required", changed) if changed else ("no_session", 0)
            case _:
                assert_never(action)

    def _supported(self, subject: Subject | None) -> Subject | None:
        """The subject as far as it can be matched, None if it cannot."""
        match subject:
            case Subject(IssuerUser(None)) if not self._of_provider:
                return None
            case Subject(IssuerUser(str() as iss)) if iss.rstrip("/") not in self._issuers:
                return None
            case Subject(EmailUser(), session) if not self._provider.requests_email:
                return None if session is None else Subject(None, session)
            case _:
                return subject

    async def _end(self, subject: Subject, at: float, *, everywhere: bool) -> Sequence[Session]:
        reason, user, session = EndReason.SECURITY_EVENT, subject.user, subject.session
        if session is not None and (user is None or not everywhere):
            if isinstance(user, EmailUser) and await self._is_of_another(session, user):
                return ()
            sub = user.sub if isinstance(user, IssuerUser) else None
            return await self._end_sessions.of_provider_session(session, reason, sub=sub, at=at)
        if user is None:
            return ()
        index, value = _indexed(user)
        return await self._end_sessions.of_user(index, value, reason, at=at)

    async def _is_of_another(self, sid: str, user: User) -> bool:
        """Whether the sessions of this `sid` are of other users, whom the event does not name."""
        known = await self._store.find("sid", sid)
        return bool(known) and not any(_is_user(session, user) for session in known)

    async def _change(self, subject: Subject, at: float, change: Change) -> int:
        """Applies `change` to the sessions of a subject that began by `at`; returns how many changed."""
        if subject.session is not None:
            named = await self._store.find("sid", subject.session)
            named = [session for session in named if subject.user is None or _is_user(session, subject.user)]
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


def _is_user(session: Session, user: User) -> bool:
    match user:
        case IssuerUser(sub=sub):
            return session.user.sub == sub
        case EmailUser(email):
            return (session.user.email or "").casefold() == email.casefold()
        case _:
            assert_never(user)


def _indexed(user: User) -> tuple[IndexName, str]:
    match user:
        case IssuerUser(sub=sub):
            return "sub", sub
        case EmailUser(email):
            return "email", email
        case _:
            assert_never(user)
