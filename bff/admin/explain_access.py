"""Explains what would happen to a request of one user: applies scopes and rules to the sessions in the store."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal

from bff.admin.selection import Selection, selected_records
from bff.config.routes import Route
from bff.config.server import ForwardAuthSettings
from bff.config.settings import Settings
from bff.errors import ForbiddenByRule, InsufficientScope, SignInRequired, StepUpRequired
from bff.session.access_rules import AccessRules
from bff.session.session import Session
from bff.session.store import Found, SessionStore
from bff.web.error_status import STATUS


@dataclass(frozen=True, slots=True)
class AccessChecks:
    """What is checked about the session of a request, if one is used at all. Of each of `rules` one has to hold."""

    rules: tuple[AccessRules, ...] = ()
    scopes: frozenset[str] = frozenset()
    session: Literal["required", "optional", "ignored"] = "required"

    @classmethod
    def of_route(cls, route: Route) -> "AccessChecks":
        rules = () if route.access_rules is None else (route.access_rules,)
        match route.token:
            case "none":
                return cls(session="ignored")
            case "user_or_none":
                return cls(rules, route.required_scopes, "optional")
            case _:
                return cls(rules, route.required_scopes)

    @classmethod
    def of_forward_auth(cls, settings: ForwardAuthSettings, named: Sequence[str]) -> "AccessChecks":
        """`named` are sets of rules that the proxy names."""
        always = () if settings.access_rules is None else (settings.access_rules,)
        return cls((*always, *(settings.named_rules[name] for name in named)))

    def __str__(self) -> str:
        return ", and ".join(" or ".join(rule.name for rule in rules.rules) for rules in self.rules) or "none"


@dataclass(frozen=True, slots=True)
class AccessExplanation:
    """`forwarded`: whether every session of the user would get through."""

    forwarded: bool
    lines: tuple[str, ...]


async def explain_access(
    store: SessionStore, settings: Settings, checks: AccessChecks, user: str, now: float
) -> AccessExplanation:
    """`user` is an e-mail address or a subject (claim sub). `now`: seconds since the epoch. Raises StoreUnavailable.

    The lines have fingerprints of sessions and names of conditions, and no claim of the user.
    """
    if checks.session == "ignored":
        return AccessExplanation(True, (_line("as", "the route ignores the session"),))
    decisions = [_decision(settings, checks, session, now) for session in await _sessions_of(store, user, settings)]
    if not decisions and checks.session == "optional":
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


def _decision(settings: Settings, checks: AccessChecks, session: Session, now: float) -> tuple[bool, str]:
    """Whether the session would get through, and why. In the order in which a request is checked."""
    name = f"session {session.fingerprint}"
    if session.step_up_required_at is not None:
        return False, _line(name, f"refused: {_refusal(StepUpRequired)}: a security event requires a new sign-in")
    granted = set(session.tokens.scope.split() or settings.provider.scopes)
    if missing := sorted(checks.scopes - granted):
        return False, _line(name, f"refused: {_refusal(InsufficientScope)}: without {' '.join(missing)}")
    holding = []
    for rules in checks.rules:
        if (rule := rules.holding(session, now)) is not None:
            holding.append(rule.name)
        elif (refusal := rules.refusal(session, now)) is not None:
            why = "; ".join(f"{rule_name} lacks {', '.join(keys)}" for rule_name, keys in refusal.unmet.items())
            return False, _line(name, f"refused: {_refusal(ForbiddenByRule)}: {why}")
    by = f"by {' and '.join(holding)}" if holding else "there are no rules"
    return True, _line(name, f"forwarded: {by}")


def _refusal(error: type[SignInRequired | StepUpRequired | InsufficientScope | ForbiddenByRule]) -> str:
    return f"{STATUS[error.code]} {error.code}"


def _line(name: str, text: str) -> str:
    return f"{name:17} {text}"
