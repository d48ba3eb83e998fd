"""Tokens that nobody holds any more, waiting to be revoked at the provider (RFC 7009). Times are in seconds.

A session that ends leaves its token alive at the provider until the provider has heard of it. The queue outlasts the
process: it is kept in the store, sealed, shared by all replicas, and bounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from bff.oidc.token import TokenTypeHint

WAITING_LIMIT: Final = 50_000  # revocations in the queue; some 100 MB at the size of Okta's tokens
ATTEMPTS_LIMIT: Final = 30
MAX_WAIT: Final = 3600.0  # between two attempts
FIRST_WAIT: Final = 5.0
KEPT_FOR: Final = 86_400.0  # a refresh token is given up after so long, whatever life the provider gives it


@dataclass(frozen=True, slots=True)
class Revocation:
    """One token to be revoked, at the issuer that gave it. `until` is when there is no use in trying any more.

    `attempts` counts those begun, the one that it was claimed for included. `session` is a fingerprint, for logs.
    """

    id: str
    token: str = field(repr=False)
    hint: TokenTypeHint
    issuer: str
    session: str
    until: float
    attempts: int = 0


def backoff(attempts: int, retry_after: float | None) -> float:
    """Seconds to wait after so many attempts, and at least what the provider asked for."""
    pause = min(FIRST_WAIT * 2.0 ** max(0, attempts - 1), MAX_WAIT)
    return pause if retry_after is None else max(pause, retry_after)


class RevocationQueue(Protocol):
    """Every method raises StoreUnavailable; each may be repeated after an unknown outcome."""

    async def add(self, revocation: Revocation) -> bool:
        """Keeps it, due at once. False when `WAITING_LIMIT` others wait already."""
        ...

    async def claim(self, count: int, lease: float) -> Sequence[Revocation]:
        """At most `count` that are due, those first that have been due the longest.

        Nobody else is given them for `lease` seconds: whoever claimed them settles them by then, or died.
        """
        ...

    async def finish(self, revocation_id: str) -> None:
        """Forgets it: it was revoked, or there is no use in trying any more."""
        ...

    async def postpone(self, revocation_id: str, seconds: float) -> None:
        """Makes it due again in so many seconds."""
        ...

    async def waiting(self) -> int:
        """How many wait, those that are claimed included."""
        ...
