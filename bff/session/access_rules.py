"""Access rules: which sessions a route serves, by claims and authentication. Pure; times are in seconds.

A rule holds if all its conditions hold. Of several rules one has to hold, as in the allow policies of service meshes.
A condition about something that the session does not have does not hold. Values are compared exactly: case, white space
and Unicode form make a difference, text is no number, and no part of a text matches.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from bff.session.session_view import SessionView

Scalar: TypeAlias = str | bool | int
_Comparable: TypeAlias = tuple[bool, Any]


class Match(Enum):
    """How a claim is compared with the values of a condition."""

    EQUALS = "equals"  # it is one of them
    CONTAINS_ANY = "contains any"  # it is a list with one of them
    CONTAINS_ALL = "contains all"  # it is a list with all of them


@dataclass(frozen=True, slots=True)
class ClaimCondition:
    """`key` is what the settings call the condition, like `groups_any` or `claim_equals.department`."""

    key: str
    claim: str
    match: Match
    values: frozenset[_Comparable]
    texts: frozenset[str] | None  # the values, if all are text, which is faster to compare

    @classmethod
    def of(cls, key: str, claim: str, match: Match, values: Iterable[Scalar]) -> "ClaimCondition":
        wanted = tuple(values)
        texts = frozenset(value for value in wanted if isinstance(value, str))
        compared = frozenset(_comparable(value) for value in wanted)
        return cls(key, claim, match, compared, texts if len(texts) == len(compared) else None)

    def holds(self, claim: Any) -> bool:
        if self.match is Match.EQUALS:
            return isinstance(claim, str | int | float) and _comparable(claim) in self.values
        # Providers state a list of one item as text, too.
        items = claim if isinstance(claim, list | tuple) else (claim,)
        if self.texts is not None:
            with suppress(TypeError):  # an object among the items has no hash
                return _contains(self.texts, items, self.match)
        stated = {_comparable(item) for item in items if isinstance(item, str | int | float)}
        return _contains(self.values, stated, self.match)


def _contains(wanted: frozenset[Any], items: Iterable[Any], match: Match) -> bool:
    return wanted.issubset(items) if match is Match.CONTAINS_ALL else not wanted.isdisjoint(items)


def _comparable(value: Any) -> _Comparable:
    """To Python `True` is 1; in JSON they differ."""
    return isinstance(value, bool), value


@dataclass(frozen=True, slots=True)
class AccessRule:
    """`acr` lists values of which the session has one, `amr_any` and `amr_all` authentication methods; empty is no
    condition. `max_auth_age`: seconds since the user authenticated at the provider.
    """

    name: str
    claims: tuple[ClaimCondition, ...] = ()
    acr: tuple[str, ...] = ()
    amr_any: frozenset[str] = frozenset()
    amr_all: frozenset[str] = frozenset()
    max_auth_age: int | None = None

    def holds(self, session: SessionView, now: float) -> bool:
        return not self.unmet(session, now, first=True)

    def unmet(self, session: SessionView, now: float, *, first: bool = False) -> tuple[str, ...]:
        """The keys of the conditions that do not hold; with `first` no more than one of them."""
        unmet: list[str] = []
        for condition in self.claims:
            if not condition.holds(session.claim(condition.claim)):
                unmet.append(condition.key)
                if first:
                    return tuple(unmet)
        amr = session.amr or ()
        if self.acr and session.acr not in self.acr:
            unmet.append("acr")
        if self.amr_any and self.amr_any.isdisjoint(amr):
            unmet.append("amr_any")
        if self.amr_all and not self.amr_all.issubset(amr):
            unmet.append("amr_all")
        if self.max_auth_age is not None and (session.auth_time is None or now - session.auth_time > self.max_auth_age):
            unmet.append("max_auth_age")
        return tuple(unmet)


@dataclass(frozen=True, slots=True)
class Refusal:
    """No rule holds. `unmet` has the keys of the conditions that do not hold, by the name of the rule.

    `acr_values` and `max_age` (seconds) describe a sign-in after which a rule could hold; neither, if none would help.
    """

    unmet: Mapping[str, tuple[str, ...]]
    acr_values: tuple[str, ...] = ()
    max_age: int | None = None


@dataclass(frozen=True, slots=True)
class AccessRules:
    """The rules of one route, of which one has to hold."""

    rules: tuple[AccessRule, ...]

    def holding(self, session: SessionView, now: float) -> AccessRule | None:
        """The first rule that holds. `now` is in seconds since the epoch."""
        for rule in self.rules:
            if rule.holds(session, now):
                return rule
        return None

    def refusal(self, session: SessionView, now: float) -> Refusal | None:
        """None if a rule holds."""
        if self.holding(session, now) is not None:
            return None
        unmet = {rule.name: rule.unmet(session, now) for rule in self.rules}
        for rule in self.rules:
            if {"acr", "max_auth_age"}.issuperset(unmet[rule.name]):
                # Both, since the new sign-in must satisfy both.
                return Refusal(unmet, rule.acr, rule.max_auth_age)
        return Refusal(unmet)
