"""A cached document of the provider: one fetch at a time; the last valid one is kept until it can be replaced."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from bff.errors import ProviderUnavailable

logger = logging.getLogger(__name__)

FIRST_RETRY: Final = 1.0  # seconds; doubled after every failure
MAX_RETRY: Final = 60.0
REFETCH_INTERVAL: Final = 10.0  # seconds from any fetch to one that asks for what is true now
MAX_RETRY_WITHOUT: Final = 3.0  # while there is no document at all: nothing works until there is one

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Loaded(Generic[T]):
    """A valid document, and the seconds that it is fresh."""

    value: T
    lifetime: float


class CachedDocument(Generic[T]):
    """`load` fetches and validates; it raises ProviderUnavailable within its own timeout.

    `clock` is monotonic seconds. A fresh document is returned at once. A stale one is returned at once too, and
    refetched in the background (stale-while-revalidate). Callers wait only if there is no document at all, all for the
    same fetch. The fetch is a separate task, so that a cancelled caller does not affect others; there is only one at a
    time, so an old response cannot replace a newer one.
    """

    def __init__(self, name: str, load: Callable[[], Awaitable[Loaded[T]]], *, clock: Callable[[], float]) -> None:
        self._name, self._load, self._clock = name, load, clock
        self._value: T | None = None
        self._fresh_until = 0.0
        self._fetched_at = -REFETCH_INTERVAL
        self._failures = 0
        self._retry_at = 0.0
        self._problem: ProviderUnavailable | None = None
        self._fetch: asyncio.Task[None] | None = None

    @property
    def value(self) -> T | None:
        """The last valid document, without fetching."""
        return self._value

    @property
    def problem(self) -> ProviderUnavailable | None:
        """Why the last fetch failed; None once one has succeeded."""
        return self._problem

    @property
    def loading(self) -> bool:
        """Whether a fetch is running."""
        return self._fetch is not None and not self._fetch.done()

    async def get(self) -> T:
        """The document. Raises ProviderUnavailable only if there has never been a valid one."""
        if self._value is None:
            await self.reload()
        elif self._clock() >= self._fresh_until:
            self._start()
        if self._value is None:
            raise self._unavailable()
        return self._value

    async def reload(self) -> None:
        """Waits for the running fetch, or for a new one, unless the back-off of the last failure is running.

        Never raises.
        """
        fetch = self._start()
        if fetch is not None:
            await asyncio.shield(fetch)

    async def refetch(self) -> T:
        """The document as it is now: from a fetch that begins with this call.

        Raises ProviderUnavailable if that fails, or comes too soon after another one: what that one saw may be older.
        """
        if self.loading or self._clock() < max(self._retry_at, self._fetched_at + REFETCH_INTERVAL):
            raise ProviderUnavailable(f"The {self._name} was fetched a moment ago.")
        await self.reload()
        if self._problem is not None or self._value is None:
            raise self._unavailable()
        return self._value

    async def close(self) -> None:
        if self._fetch is not None and self.loading:
            self._fetch.cancel()
            await asyncio.wait([self._fetch])

    def _start(self) -> "asyncio.Task[None] | None":
        if self.loading:
            return self._fetch
        if self._clock() < self._retry_at:
            return None
        self._fetch = asyncio.create_task(self._fetch_once(), name=f"fetch {self._name}")
        return self._fetch

    async def _fetch_once(self) -> None:
        self._fetched_at = self._clock()
        try:
            loaded = await self._load()
        except ProviderUnavailable as problem:
            self._failed(problem)
        except Exception as error:  # an unexpected error in our own code must not take down the process
            self._failed(ProviderUnavailable(f"The {self._name} could not be read ({type(error).__name__})."))
        else:
            self._value, self._problem, self._failures, self._retry_at = loaded.value, None, 0, 0.0
            self._fresh_until = self._clock() + loaded.lifetime

    def _failed(self, problem: ProviderUnavailable) -> None:
        self._failures += 1
        limit = MAX_RETRY_WITHOUT if self._value is None else MAX_RETRY
        wait = min(limit, FIRST_RETRY * 2.0 ** min(self._failures - 1, 10))
        self._problem, self._retry_at = problem, self._clock() + wait
        extra = {
            "document": self._name,
            "why": str(problem),
            "failures": self._failures,
            "kept": self._value is not None,
        }
        # Ever less often: the 1st, 2nd, 4th, 8th ... failure in a row.
        level = logging.DEBUG if self._failures & (self._failures - 1) else logging.WARNING
        logger.log(level, "a document of the provider could not be fetched", extra=extra)

    def _unavailable(self) -> ProviderUnavailable:
        """A new exception each time: a shared object would accumulate the tracebacks of all callers."""
        wait = max(1, round(self._retry_at - self._clock()))
        detail = self._problem.detail if self._problem is not None else None
        error_type = type(self._problem) if self._problem is not None else ProviderUnavailable
        return error_type(detail, retry_after=wait)
