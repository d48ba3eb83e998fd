"""Reads the session of a request for the session endpoints, and ends one that has reached its time limit."""

from dataclasses import dataclass

from bff.errors import SignInRequired
from bff.flows.logout.end_session import EndSession
from bff.flows.refresh.flow import RefreshTokenFlow
from bff.session.session import EndReason, SessionKey
from bff.session.store import Found, SessionStore, StoredSession, Viewed
from bff.session.timing import RefreshPolicy, limit_reached


@dataclass(frozen=True, slots=True)
class CurrentSessions:
    """Unlike an API call, reading a session here refreshes no token and extends no idle timeout."""

    store: SessionStore
    refresh: RefreshTokenFlow
    end_session: EndSession
    policy: RefreshPolicy

    async def read(self, key: SessionKey) -> StoredSession:
        """Raises StoreUnavailable."""
        return await self.refresh.peek(key)

    async def require(self, key: SessionKey) -> Found:
        """The live session of that key. Raises SignInRequired with the end reason, and StoreUnavailable."""
        stored = await self.read(key)
        if not isinstance(stored, Found):
            ended = await self.refresh.end_reason(key, stored)
            raise SignInRequired(reason=ended.value if ended else None)
        if (reason := await self.end_if_over(stored)) is not None:
            raise SignInRequired(reason=reason.value)
        return stored

    async def end_if_over(self, stored: Viewed) -> EndReason | None:
        """Ends a session that has reached a time limit, and returns which; None for a live one."""
        reason = self.limit_reached(stored)
        if reason is not None:
            await self.end_session.end(stored.view.key, reason, expected_version=stored.view.version)
        return reason

    def limit_reached(self, stored: Viewed) -> EndReason | None:
        return limit_reached(stored.view, stored.now, self.policy, stored.last_seen_at)

    def idle_ends_at(self, stored: Viewed) -> float:
        """Seconds since the epoch, on the store's clock."""
        return min(stored.last_seen_at + self.policy.idle_timeout, stored.view.ends_at)
