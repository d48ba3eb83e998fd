"""The org's own browser sessions (the `sid` cookie), and sign-ins in progress."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

TRANSACTION_LIFETIME = 3600  # seconds
ONE_FACTOR, TWO_FACTORS = 1, 2


@dataclass(slots=True)
class BrowserSession:
    """`handle` is the cookie's value; `sid` is the claim in ID tokens. `factors`: 1 password, 2 password and code."""

    handle: str = field(repr=False)
    sid: str
    sub: str
    auth_time: float
    factors: int


@dataclass(frozen=True, slots=True)
class SignInUnderWay:
    """An authorization request that waits for a user. `factors` is how many the request requires."""

    endpoints: str
    parameters: Mapping[str, str]
    factors: int
    began_at: float


class BrowserSessions:
    def __init__(self) -> None:
        self._sessions: dict[str, BrowserSession] = {}
        self._under_way: dict[str, SignInUnderWay] = {}

    def begin(self, sub: str, factors: int, now: float) -> BrowserSession:
        session = BrowserSession(secrets.token_urlsafe(24), f"idx{secrets.token_urlsafe(16)}", sub, now, factors)
        self._sessions[session.handle] = session
        return session

    def get(self, handle: str | None) -> BrowserSession | None:
        return self._sessions.get(handle) if handle else None

    def end(self, handle: str) -> None:
        self._sessions.pop(handle, None)

    def end_all_of(self, sub: str) -> None:
        self._sessions = {handle: session for handle, session in self._sessions.items() if session.sub != sub}

    def all_of(self, sub: str) -> list[BrowserSession]:
        return [session for session in self._sessions.values() if session.sub == sub]

    def wait_for_person(self, waiting: SignInUnderWay) -> str:
        handle = secrets.token_urlsafe(16)
        self._under_way[handle] = waiting
        return handle

    def under_way(self, handle: str, now: float) -> SignInUnderWay | None:
        waiting = self._under_way.get(handle)
        return waiting if waiting is not None and now < waiting.began_at + TRANSACTION_LIFETIME else None

    def arrived(self, handle: str) -> None:
        self._under_way.pop(handle, None)
