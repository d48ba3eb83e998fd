"""The last ID token of a session that ended by itself, for a sign-out that comes afterwards.

The provider's own session outlives ours. Okta ends it only for an ID token (`id_token_hint`), and takes an expired one.
So the token is kept, sealed, for as long as the end reason, and given once.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bff.errors import StoreUnavailable
from bff.session.session import EndReason, Session
from bff.session.store import VALUE_LIMIT, SessionStore

logger = logging.getLogger(__name__)

LIFETIME: Final = 86_400  # seconds, as for the end reason
# In every other case the user, an operator or the provider decided on the end, or another session took its place.
ENDED_BY_ITSELF: Final = frozenset(
    {EndReason.IDLE_TIMEOUT, EndReason.ABSOLUTE_TIMEOUT, EndReason.NO_REFRESH_TOKEN, EndReason.ROTATION_LOST}
    | {EndReason.REFRESH_TOKEN_INVALID, EndReason.PROVIDER_DENIED}
    | {EndReason.SUBJECT_CHANGED, EndReason.ID_TOKEN_MISMATCH}
)


@dataclass(frozen=True, slots=True)
class SignOutHint:
    """`id_token` is None for a session that had none."""

    id_token: str | None = field(repr=False)


class SignOutHints:
    def __init__(self, store: SessionStore) -> None:
        self._store = store

    async def keep(self, session: Session, reason: EndReason) -> None:
        """Keeps the ID token of a session that has just ended by itself. Never raises."""
        if reason not in ENDED_BY_ITSELF:
            return
        id_token = (session.tokens.id_token or "").encode()
        try:
            until = await self._store.now() + LIFETIME
            value = id_token if len(id_token) <= VALUE_LIMIT else b""
            await self._store.leave_value(_name(session.browser or session.key), value, until)
        except StoreUnavailable:
            logger.warning("the ID token for a later sign-out could not be stored")

    async def take(self, names: Sequence[str]) -> SignOutHint | None:
        """What was kept under one of these names (a browser's hash, a session key). Raises StoreUnavailable."""
        for name in names:
            value = await self._store.take_value(_name(name))
            if value is not None:
                return SignOutHint(value.decode() or None)
        return None


def _name(name: str) -> str:
    return f"sign-out hint {name}"
