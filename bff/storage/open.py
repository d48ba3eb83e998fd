"""Opens the store that a URL names. The only function other rooms need."""

from pathlib import Path
from typing import Any, Final

from bff.errors import ConfigurationError
from bff.session.keyring import KeyRing
from bff.session.store import SessionStore
from bff.storage.sqlite.store import SqliteStore

REDIS_SCHEMES: Final = ("redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")


def open_store(url: str, ring: KeyRing, **options: Any) -> SessionStore:
    """`sqlite:///relative.db`, `sqlite:////absolute.db`, or a Redis URL (see `bff.storage.redis.url`).

    `options` go to the store itself: `SqliteStore(clock=)`, `RedisStore(wait_replicas=)`. A Redis store connects when
    it is first used. Raises ConfigurationError for a URL that names no store, StoreUnavailable for a sick database.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "sqlite":
        path = rest.removeprefix("/")
        if not rest.startswith("/") or not path or "?" in path or "#" in path:
            raise _misconfigured("a SQLite URL is sqlite:/// and a path, without options.")
        return SqliteStore(Path(path), ring, **options)
    if separator and scheme in REDIS_SCHEMES:
        from bff.storage.redis.store import RedisStore  # only those who use Redis pay for importing its client

        return RedisStore.from_url(url, ring, **options)
    # The URL itself isn't repeated: it may carry a password.
    raise _misconfigured("the URL has no scheme we know.")


def _misconfigured(problem: str) -> ConfigurationError:
    return ConfigurationError("BFF_STORE", problem, f"Begin with sqlite:/// or one of {', '.join(REDIS_SCHEMES)}.")
