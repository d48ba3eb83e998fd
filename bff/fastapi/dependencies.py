"""Dependencies for the routes of a host application: who is signed in, and what they may do.

Their errors become problem JSON, or a page for a navigation, as everywhere in the BFF.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from bff.config.settings import Settings
from bff.errors import ConfigurationError, SignInRequired
from bff.fastapi.user import User, user_of
from bff.session.access_rules import AccessRule, AccessRules, ClaimCondition, Match, Scalar
from bff.session.session_view import SessionView
from bff.web.host import HOST, HostRequests


def requests_of(connection: HTTPConnection) -> HostRequests:
    """Raises ConfigurationError in an application that no BFF is installed in."""
    requests = connection.scope.get(HOST)
    if not isinstance(requests, HostRequests):
        raise ConfigurationError(
            "Bff", "is not installed in the application that handles this request.", "Call Bff().install(app)."
        )
    return requests


async def current_session(connection: HTTPConnection) -> SessionView:
    """The session of the request; it holds the tokens, so it is no part of the public API."""
    return await requests_of(connection).session(connection.scope)


async def current_user(session: Annotated[SessionView, Depends(current_session)]) -> User:
    """The signed-in user; the request counts as their activity.

    The session is alive and its tokens are good: an account that the provider has disabled is no longer signed in.
    Without a session the response is 401 `sign_in_required`, and 503 while that cannot be decided.
    """
    return user_of(session)


async def optional_user(connection: HTTPConnection) -> User | None:
    """The signed-in user, or None. 503 while that is undecided: a user who is signed in is never taken for a guest."""
    try:
        return user_of(await current_session(connection))
    except SignInRequired:
        return None


async def csrf_protected(connection: HTTPConnection) -> None:
    """Refuses a request that no page of this application sent, whatever its method: 403 `csrf_required`.

    `Bff.install` does this for every unsafe method already. Add it to a route that changes something on GET, or that is
    below a path of `csrf_exempt`.
    """
    requests_of(connection).check_csrf(connection.scope)


@dataclass(frozen=True, slots=True)
class Require:
    """The dependency that `require` returns. Equal ones are one to FastAPI's `dependency_overrides`."""

    rule: AccessRule

    async def __call__(
        self, connection: HTTPConnection, session: Annotated[SessionView, Depends(current_session)]
    ) -> User:
        requests_of(connection).check_access(session, AccessRules((self.rule,)), connection.scope)
        return user_of(session)

    def check(self, settings: Settings) -> None:
        """Raises ConfigurationError for a claim that no session keeps."""
        for condition in self.rule.claims:
            if condition.claim != "sub" and condition.claim not in settings.session.user_claims:
                raise ConfigurationError(
                    "BFF_USER_CLAIMS",
                    f"do not include {condition.claim}, which a require() of a route needs.",
                    "Add it: a session keeps only the listed claims.",
                )


def require(
    claim: str | None = None,
    *,
    any_of: Collection[Scalar] = (),
    all_of: Collection[Scalar] = (),
    acr: Collection[str] = (),
    max_auth_age: int | None = None,
) -> Require:
    """A dependency that gives the user if they meet every condition, and refuses others with 403 `forbidden_by_rule`.

    `claim` is compared with `any_of` and `all_of`; a claim that is no list counts as a list of one. `acr`: of these
    values the sign-in had one. `max_auth_age`: seconds since the user authenticated at the provider. Where a new
    sign-in would help, the error has its `sign_in_url`. Raises ValueError without any condition.
    """
    if (claim is None) != (not any_of and not all_of):
        raise ValueError("name a claim together with any_of or all_of")
    if any(isinstance(values, str) for values in (any_of, all_of, acr)):
        raise ValueError("any_of, all_of and acr are lists of values")
    conditions = tuple(
        ClaimCondition.of(f"{key}.{claim}", str(claim), match, values)
        for key, match, values in (
            ("any_of", Match.CONTAINS_ANY, any_of),
            ("all_of", Match.CONTAINS_ALL, all_of),
        )
        if values
    )
    if not conditions and not acr and max_auth_age is None:
        raise ValueError("a rule without a condition would allow everyone")
    name = claim or ("acr" if acr else "max_auth_age")
    return Require(AccessRule(name, conditions, tuple(acr), max_auth_age=max_auth_age))
