"""Credentials of a store that change while it is in use."""

from collections.abc import Callable
from math import inf
from typing import Final

from bff.config.store_credentials import StoreCredentials

REFUSED_FOR: Final = 10.0  # seconds after which refused credentials are tried like others


class ChangingCredentials:
    """The current credentials and those before. A server may learn of new ones before or after this process does, so
    each of the two is tried when the other one has just been refused.
    """

    def __init__(self, current: StoreCredentials, look: Callable[[], None] = lambda: None) -> None:
        """`look` looks at once whether the source has other credentials, and then calls `replace`."""
        self._current, self._look = current, look
        self._previous: StoreCredentials | None = None
        self._refused: dict[StoreCredentials, float] = {}

    @classmethod
    def of(
        cls, login: StoreCredentials | None, look: Callable[[], None] = lambda: None
    ) -> "ChangingCredentials | None":
        """None if the settings have none that may change."""
        return None if login is None else cls(login, look)

    @property
    def current(self) -> StoreCredentials:
        return self._current

    def replace(self, credentials: StoreCredentials) -> None:
        if credentials != self._current:
            self._previous, self._current = self._current, credentials
            self._refused.clear()

    def choose(self, now: float) -> StoreCredentials:
        """Those for a new connection. `now`: any monotonic clock, in seconds."""
        known = [self._current] if self._previous is None else [self._current, self._previous]
        recently = {login: at for login, at in self._refused.items() if now - at < REFUSED_FOR}
        return min(known, key=lambda login: recently.get(login, -inf))

    def refused(self, credentials: StoreCredentials, now: float) -> None:
        """The server has refused these."""
        self._refused[credentials] = now
        self._look()
