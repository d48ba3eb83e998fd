"""The stores that are measured: an own Redis server, or a SQLite file that is filled once and copied."""

import asyncio
import hashlib
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.scale.fill import LIFETIME, fill_redis, fill_sqlite
from bff.base64url import encode_base64url
from tests.harness.ports import free_port

SESSION_KEY, NEXT_KEY = (hashlib.sha256(f"bench-scale {n}".encode()).digest() for n in range(2))
SIGN_INS: Final = 21_600.0  # seconds in which the sessions signed in, evenly; half of them end in the first half
USABLE_FOR: Final = LIFETIME - SIGN_INS - 3_600  # seconds after which a filled file is filled again

ENVIRON: Final = {
    "BFF_ISSUER": "https://bench.okta.example/oauth2/default",
    "BFF_CLIENT_ID": "bench",
    "BFF_CLIENT_SECRET": "bench-client-secret-0123456789abcdef",
    "BFF_PUBLIC_URL": "https://app.example.com",
    "BFF_SESSION_KEYS": encode_base64url(SESSION_KEY),
}


@dataclass(frozen=True)
class Filled:
    """A store with the sessions of `keys`; those in the first half of the list signed in first."""

    store: str
    url: str
    keys: list[str]
    filled_at: float

    @property
    def path(self) -> Path:
        """Of the SQLite file."""
        return Path(self.url.removeprefix("sqlite:///"))

    def environ(self, **changes: str) -> dict[str, str]:
        return ENVIRON | {"BFF_STORE": self.url} | changes


@contextmanager
def redis_server(directory: Path) -> Iterator[int]:
    """Yields its port."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        time.sleep(1)
        try:
            yield port
        finally:
            server.terminate()


@contextmanager
def store_url(store: str, directory: Path) -> Iterator[str]:
    """An empty store."""
    if store == "sqlite":
        yield f"sqlite:///{directory / 'scale.db'}"
    else:
        with redis_server(directory) as port:
            yield f"redis://127.0.0.1:{port}"


@contextmanager
def filled_store(store: str, sessions: int, directory: Path) -> Iterator[Filled]:
    """A SQLite file stays in `directory` until the measurements of its size are done; Redis is filled each time."""
    if store == "sqlite":
        template = directory / f"filled-{sessions}.db"
        if not template.exists() or time.time() - template.stat().st_mtime > USABLE_FOR:
            partial, now = template.with_suffix(".partial"), time.time()
            fill_sqlite(partial, [SESSION_KEY], sessions, now - SIGN_INS, SIGN_INS / sessions)
            partial.rename(template)
            os.utime(template, (now, now))
        with sqlite3.connect(template) as connection:
            keys = [key for (key,) in connection.execute("SELECT key FROM session ORDER BY rowid")]
        connection.close()
        copy = directory / "copy.db"
        try:
            copy_file(template, copy)
            yield Filled(store, f"sqlite:///{copy}", keys, template.stat().st_mtime)
        finally:
            for name in (*directory.glob(f"{copy.name}*"), *directory.glob(f"{template.name}-*")):
                name.unlink()
    else:
        with redis_server(directory) as port:
            now = time.time()
            keys = asyncio.run(fill_redis(port, [SESSION_KEY], sessions, now - SIGN_INS, SIGN_INS / sessions))
            yield Filled(store, f"redis://127.0.0.1:{port}", keys, now)


def copy_file(template: Path, copy: Path) -> None:
    """Replaces the database `copy`, and waits until it is on the disk, so that this is not measured."""
    for name in copy.parent.glob(f"{copy.name}*"):
        name.unlink()
    shutil.copyfile(template, copy)
    with copy.open("rb") as written:
        os.fsync(written.fileno())
