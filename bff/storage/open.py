"""Opens the store of a URL: the entry point of this package."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from bff.errors import ConfigurationError
from bff.session.keyring import KeyRing
from bff.session.store import SessionStore
from bff.storage.credentials import ChangingCredentials
from bff.storage.limits import StoreLimits
from bff.storage.sqlite.store import SqliteStore
from bff.storage.timeouts import StoreTimeouts

REDIS_SCHEMES: Final = ("redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")


def open_store(
    url: str,
    ring: KeyRing,
    *,
    clock: Callable[[], float] | None = None,
    timeouts: StoreTimeouts = StoreTimeouts(),
    limits: StoreLimits = StoreLimits(),
    credentials: ChangingCredentials | None = None,
) -> SessionStore:
    """Opens `sqlite:///relative.db`, `sqlite:////absolute.db`, or a Redis URL (see `bff.storage.redis.url`).

    `credentials` of Redis take the place of those in the URL. `clock`, in seconds since the epoch, is for SQLite, which
    has one of this machine by default; Redis has its own. A Redis store connects on first use. Raises
    ConfigurationError for an unsupported URL, StoreUnavailable for a corrupt database.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "sqlite":
        path = rest.removeprefix("/")
        if not rest.startswith("/") or not path or "?" in path or "#" in path:
            raise _misconfigured("a SQLite URL is sqlite:/// and a path, without options.")
        return SqliteStore(Path(path), ring, clock=clock, timeouts=timeouts.sqlite, limits=limits)
    if separator and scheme in REDIS_SCHEMES:
        from bff.storage.redis.store import RedisStore  # imported here so that only Redis users load its client

        return RedisStore.from_url(url, ring, timeouts.redis, limits, credentials)
    # The URL is not repeated: it may contain a password.
    raise _misconfigured("the URL has no supported scheme.")


def _misconfigured(problem: str) -> ConfigurationError:
    return ConfigurationError("BFF_STORE", problem, f"Begin with sqlite:/// or one of {', '.join(REDIS_SCHEMES)}.")
