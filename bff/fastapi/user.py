"""The signed-in user as the routes of a host application see them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bff.session.session_view import SessionView


@dataclass(frozen=True, slots=True)
class User:
    """The user of a request. `issuer` and `sub` together identify them; times are seconds since the epoch.

    `claims` are those that BFF_USER_CLAIMS lists, as the provider states them now: a claim that a refresh withdrew is
    missing. `session_id` identifies the session in logs and to upstreams, and gives no access.
    """

    issuer: str
    sub: str
    claims: Mapping[str, Any]
    session_id: str
    signed_in_at: float
    session_ends_at: float
    auth_time: float | None = None
    acr: str | None = None
    amr: tuple[str, ...] = ()

    @property
    def email(self) -> str | None:
        """None without the claim. Not an identifier: an address can pass to another person."""
        email = self.claims.get("email")
        return email if isinstance(email, str) else None

    @property
    def name(self) -> str | None:
        name = self.claims.get("name")
        return name if isinstance(name, str) else None


def user_of(session: SessionView) -> User:
    withdrawn = frozenset(session.withdrawn_claims or ())
    claims = {name: value for name, value in session.user.claims.items() if name not in withdrawn}
    return User(
        issuer=session.issuer,
        sub=session.user.sub,
        claims=MappingProxyType(claims),
        session_id=session.public_id,
        signed_in_at=session.signed_in_at,
        session_ends_at=session.ends_at,
        auth_time=session.auth_time,
        acr=session.acr,
        amr=tuple(session.amr or ()),
    )
