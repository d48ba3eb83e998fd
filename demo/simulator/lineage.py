"""The provider's records of a grant: refresh tokens, their lineage, and the family that is revoked together.

These records contain tokens, so they have no repr; `FamilyView` is the public view.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from demo.simulator.grants import AccessToken, FamilyView, RotationPolicy, SignIn


class Status(StrEnum):
    LIVE = "live"
    RETIRED = "retired"
    REVOKED = "revoked"


@dataclass(slots=True, eq=False, repr=False)
class RefreshToken:
    value: str
    lineage: "Lineage"
    issued_at: float
    used_at: float
    exchanged: bool = False  # not implied by its status: an old token that is current again retires its own successor
    status: Status = Status.LIVE
    retired_at: float = 0
    successor: "RefreshToken | None" = None


@dataclass(slots=True, eq=False, repr=False)
class Lineage:
    """The tokens that descend from one sign-in.

    A family has one lineage, or several if it is shared per user and client.
    """

    sign_in: SignIn
    family: "Family"
    issued_at: float
    live: list[RefreshToken] = field(default_factory=list)
    revoked: str | None = None


@dataclass(slots=True, eq=False, repr=False)
class Family:
    id: str
    sub: str
    client_id: str
    issued_at: float
    lineages: list[Lineage] = field(default_factory=list)
    rotation_count: int = 0
    resends: int = 0
    latest_access_token: AccessToken | None = None

    def view(self) -> FamilyView:
        access = self.latest_access_token
        reasons = [lineage.revoked for lineage in self.lineages]
        return FamilyView(
            id=self.id,
            sub=self.sub,
            client_id=self.client_id,
            issued_at=self.issued_at,
            rotation_count=self.rotation_count,
            resends=self.resends,
            live_refresh_tokens=sum(len(lineage.live) for lineage in self.lineages if not lineage.revoked),
            access_token_issued_at=access.issued_at if access else None,
            access_token_expires_at=access.expires_at if access else None,
            revoked=reasons[-1] if reasons and all(reasons) else None,
        )


def has_expired(token: RefreshToken, policy: RotationPolicy, now: float) -> bool:
    """Whether the refresh token is past its absolute lifetime, or was not used for too long."""
    too_old = policy.refresh_token_lifetime is not None and now >= (
        token.lineage.issued_at + policy.refresh_token_lifetime
    )
    idle = policy.refresh_token_idle is not None and now >= token.used_at + policy.refresh_token_idle
    return too_old or idle
