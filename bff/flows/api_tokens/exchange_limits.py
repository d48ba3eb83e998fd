"""How many token exchanges each authorization server gets at a time, and none while it throttles the client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from bff.config.api_tokens import ClientName
from bff.flows.api_tokens.api_access import unavailable
from bff.oidc.token import Postponed, TokenResult

CONCURRENT: Final = 20  # token exchanges of this process at one authorization server at a time
DEFAULT_HOLD: Final = 1.0  # seconds after a 429 that names no time
MAX_HOLD: Final = 60.0  # seconds


@dataclass(slots=True)
class _Server:
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONCURRENT))
    held_until: float = 0.0


class ExchangeLimits:
    """Separate for each issuer and client: one that does not answer delays no route of another. Monotonic seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._servers: dict[tuple[str, ClientName], _Server] = {}

    @asynccontextmanager
    async def slot(self, name: tuple[str, ClientName]) -> AsyncIterator[None]:
        """Waits for a turn. Raises ProviderUnavailable while the server throttles this client."""
        server = self._servers.setdefault(name, _Server())
        async with server.slots:
            if (left := server.held_until - self._monotonic()) > 0:
                raise unavailable(left)
            yield

    def answered(self, name: tuple[str, ClientName], answer: TokenResult) -> None:
        """Holds all exchanges of the client after a 429 that is about it, for a minute at most."""
        if isinstance(answer, Postponed) and answer.client_wide:
            wait = DEFAULT_HOLD if answer.retry_after is None else min(max(answer.retry_after, 0.0), MAX_HOLD)
            server = self._servers.setdefault(name, _Server())
            server.held_until = max(server.held_until, self._monotonic() + wait)
