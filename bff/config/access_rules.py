"""The rules of a route or of forward authentication: the `allow` list. Compiled once, not for each request."""

import re
from typing import Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from bff.config import validators
from bff.config.field_types import WholeSeconds
from bff.config.section import FROZEN, over
from bff.session.access_rules import AccessRule, AccessRules, ClaimCondition, Match, Scalar

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")
_SET_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CLAIM: Final = re.compile(r"[!-~]+")
_CONDITIONS: Final = (
    *("groups_any", "groups_all", "claim_equals", "claim_contains"),
    *("acr", "amr_any", "amr_all", "max_auth_age"),
)


def _validate_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        fix = "Use up to 64 letters, digits, spaces, dots, hyphens and underscores: errors and logs contain it."
        raise validators.invalid("is not a name for a rule.", fix)
    return name


def _validate_set_name(name: str) -> str:
    if not _SET_NAME.fullmatch(name):
        fix = "Use up to 64 letters, digits, dots, hyphens and underscores: it is part of a URL."
        raise validators.invalid("is not a name for a set of rules.", fix)
    return name


def _not_empty(value: Any) -> Any:
    """An empty list or table could be taken for no condition, and for one that no session meets."""
    if value in ([], {}):
        raise validators.invalid("is empty.", "Name at least one value, or leave it out.")
    return value


def _values_by_claim(value: Any) -> Any:
    """Validates `{ department = "finance", level = [3, 4] }`. An item of the result is a claim with its values."""
    if not isinstance(value, dict):
        raise validators.invalid("is not a table of claims.", 'Write it like { department = "finance" }.')
    values_by_claim: list[tuple[str, tuple[Scalar, ...]]] = []
    for claim, wanted in value.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        if not _CLAIM.fullmatch(claim):
            raise validators.invalid(f"contains {claim!r}, which is not the name of a claim.", "Name a claim.")
        if not values:
            raise validators.invalid(f"has no value for {claim}.", "Name at least one, or leave the claim out.")
        if not all(isinstance(item, str | int) and item != "" for item in values):
            fix = "Use text, whole numbers, true or false, or a list of them of which one has to match."
            raise validators.invalid(f"has a value for {claim} that no claim is compared with.", fix)
        values_by_claim.append((claim, tuple(values)))
    return tuple(values_by_claim)


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    if "" in values:
        raise validators.invalid("contains an empty value.", "Remove it.")
    return tuple(dict.fromkeys(values))


_Values: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_not_empty), AfterValidator(_distinct)]
_Claims: TypeAlias = Annotated[
    tuple[tuple[str, tuple[Scalar, ...]], ...],
    BeforeValidator(lambda value: value if value == () else _values_by_claim(_not_empty(value))),
]


class AllowRule(BaseModel):
    """One rule: it holds if all its conditions hold. `max_auth_age` is in seconds."""

    model_config = FROZEN

    name: Annotated[str, AfterValidator(_validate_name)] | None = None
    groups_any: _Values = ()
    groups_all: _Values = ()
    claim_equals: _Claims = ()
    claim_contains: _Claims = ()
    acr: _Values = ()
    amr_any: _Values = ()
    amr_all: _Values = ()
    max_auth_age: WholeSeconds | None = None

    @over(*_CONDITIONS)
    def _some_condition(self) -> None:
        if not any(getattr(self, condition) for condition in _CONDITIONS):
            fix = f"Add one of {', '.join(_CONDITIONS)}, or remove the rule."
            raise validators.invalid("is missing, and so is every other condition: the rule would allow everyone.", fix)

    @property
    def claims(self) -> frozenset[str]:
        """The claims that it compares."""
        groups = {"groups"} if self.groups_any or self.groups_all else set()
        return frozenset({*groups, *(claim for claim, _ in (*self.claim_equals, *self.claim_contains))})

    def compiled(self, position: int) -> AccessRule:
        """`position`, which counts from 1, names a rule without a name."""
        conditions = [
            ClaimCondition.of(key, "groups", match, values)
            for key, match, values in (
                ("groups_any", Match.CONTAINS_ANY, self.groups_any),
                ("groups_all", Match.CONTAINS_ALL, self.groups_all),
            )
            if values
        ]
        conditions += [
            ClaimCondition.of(f"claim_equals.{claim}", claim, Match.EQUALS, values)
            for claim, values in self.claim_equals
        ]
        conditions += [
            ClaimCondition.of(f"claim_contains.{claim}", claim, Match.CONTAINS_ANY, values)
            for claim, values in self.claim_contains
        ]
        return AccessRule(
            self.name_at(position),
            tuple(conditions),
            self.acr,
            frozenset(self.amr_any),
            frozenset(self.amr_all),
            self.max_auth_age,
        )

    def name_at(self, position: int) -> str:
        return self.name or f"rule {position}"


def _validate_rules(rules: tuple[AllowRule, ...]) -> tuple[AllowRule, ...]:
    names = [rule.name_at(position) for position, rule in enumerate(rules, 1)]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise validators.invalid(f"contains two rules named {twice}.", "Give each a name of its own.")
    return rules


def _some_rule(value: Any) -> Any:
    if value == []:
        raise validators.invalid("is empty.", "Add a rule, or leave it out to allow every session.")
    return value


AllowRules: TypeAlias = Annotated[tuple[AllowRule, ...], BeforeValidator(_some_rule), AfterValidator(_validate_rules)]


def compile_rules(rules: tuple[AllowRule, ...]) -> AccessRules | None:
    """None without rules: every session is allowed."""
    return AccessRules(tuple(rule.compiled(position) for position, rule in enumerate(rules, 1))) if rules else None


class RuleSet(BaseModel):
    """Rules for some of the requests that forward authentication is asked about: the proxy names them."""

    model_config = FROZEN

    name: Annotated[str, AfterValidator(_validate_set_name)] = Field(examples=["placeholder"])
    allow: AllowRules = Field(examples=[()])


def distinct_sets(sets: tuple[RuleSet, ...]) -> tuple[RuleSet, ...]:
    """Refuses two sets of one name."""
    names = [rules.name for rules in sets]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise validators.invalid(f"contains {twice} twice.", "Give each set of rules a name of its own.")
    return sets
