"""Explains what a route would do with a request of one user: applies scopes and rules to the sessions in the store."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from bff.admin.selection import Selection, selected_records
from bff.config.routes import Route
from bff.config.settings import Settings
from bff.errors import ForbiddenByRule, InsufficientScope, SignInRequired, StepUpRequired
from bff.session.session import Session
from bff.session.store import Found, SessionStore
from bff.web.error_status import STATUS


@dataclass(frozen=True, slots=True)
class AccessExplanation:
    """`forwarded`: whether every session of the user would get through."""

    forwarded: bool
    lines: tuple[str, ...]


async def explain_access(
    store: SessionStore, settings: Settings, route: Route, user: str, now: float
) -> AccessExplanation:
    """`user` is an e-mail address or a subject (claim sub). `now`: seconds since the epoch. Raises StoreUnavailable.

    The lines have fingerprints of sessions and names of conditions, and no claim of the user.
    """
    if route.token == "none":
        return AccessExplanation(True, (_line("as", "the route ignores the session"),))
    decisions = [_decision(settings, route, session, now) for session in await _sessions_of(store, user, settings)]
    if not decisions and route.token == "user_or_none":
        return AccessExplanation(True, (_line("as", "no session of that user: forwarded without a token"),))
    if not decisions:
        why = "no session of that user; after a sign-in the claims decide"
        return AccessExplanation(False, (_line("as", f"refused: {_refusal(SignInRequired)}: {why}"),))
    return AccessExplanation(all(forwarded for forwarded, _ in decisions), tuple(line for _, line in decisions))


async def _sessions_of(store: SessionStore, user: str, settings: Settings) -> list[Session]:
    """Those of the e-mail address, if there are any, and otherwise those of the subject. Without those that the next
    request would end, because a limit has passed.
    """
    by_address = [session async for session in _live(store, Selection("email", user), settings)]
    return by_address or [session async for session in _live(store, Selection("sub", user), settings)]


async def _live(store: SessionStore, selection: Selection, settings: Settings) -> AsyncIterator[Session]:
    async for stored in selected_records(store, selection):
        if isinstance(stored, Found):
            until = min(stored.last_seen_at + settings.session.idle_timeout, stored.session.ends_at)
            if stored.now < until:
                yield stored.session


def _decision(settings: Settings, route: Route, session: Session, now: float) -> tuple[bool, str]:
    """Whether the session would get through, and why. In the order in which a request is checked."""
    name = f"session {session.fingerprint}"
    if session.step_up_required_at is not None:
        return False, _line(name, f"refused: {_refusal(StepUpRequired)}: a security event requires a new sign-in")
    granted = set(session.tokens.scope.split() or settings.provider.scopes)
    if missing := sorted(route.required_scopes - granted):
        return False, _line(name, f"refused: {_refusal(InsufficientScope)}: without {' '.join(missing)}")
    if route.access_rules is None:
        return True, _line(name, "forwarded: the route has no rules")
    holding = route.access_rules.holding(session, now)
    if holding is not None:
        return True, _line(name, f"forwarded: {holding.name} holds")
    refusal = route.access_rules.refusal(session, now)
    unmet = refusal.unmet if refusal is not None else {}
    why = "; ".join(f"{rule} lacks {', '.join(keys)}" for rule, keys in unmet.items())
    return False, _line(name, f"refused: {_refusal(ForbiddenByRule)}: {why}")


def _refusal(error: type[SignInRequired | StepUpRequired | InsufficientScope | ForbiddenByRule]) -> str:
    return f"{STATUS[error.code]} {error.code}"


def _line(name: str, text: str) -> str:
    return f"{name:17} {text}"
