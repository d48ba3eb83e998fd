"""Fills a store with very many sessions, much faster than through its writes: the rows and keys are written directly.

The records and index entries are those of the store's own codec.
"""

import asyncio
import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, Final

from bff.session.keyring import KeyRing, new_session_id
from bff.session.session import Session, Tokens, User
from bff.storage import codec, index
from bff.storage.redis.record_format import entries_digest
from bff.storage.sqlite.database import prepare

ISSUER: Final = "https://bench.okta.example/oauth2/default"
TOKEN: Final = "x" * 900  # bytes: the typical size of Okta's access and ID tokens
BATCH: Final = 5_000  # sessions that a process prepares at a time
LIFETIME: Final = 43_200.0  # seconds

Row = tuple[str, str, float, bytes, tuple[tuple[str, str], ...], str]


def session_of(number: int, key: str, signed_in_at: float) -> Session:
    """Everybody has one session. They signed in one after the other."""
    return Session(
        key=key,  # type: ignore[arg-type]
        version=1,
        rotation=0,
        issuer=ISSUER,
        client_id="bench",
        user=User(f"00u{number:017}", f"person{number}@example.com", {"name": f"Person {number}"}),
        tokens=Tokens(
            TOKEN, signed_in_at + 7200, signed_in_at + 7000, signed_in_at, f"refresh-{number}", TOKEN, "openid"
        ),
        signed_in_at=signed_in_at,
        ends_at=signed_in_at + LIFETIME,
        sid=f"sid-{number}",
        browser=f"browser-{number}",
    )


def rows(session_keys: list[bytes], first: int, count: int, now: float, step: float) -> list[Row]:
    """In a process of its own: the rows of so many sessions, that signed in `step` seconds after each other."""
    ring, prepared = KeyRing.from_keys(session_keys), list[Row]()
    for number in range(first, first + count):
        session = session_of(number, new_session_id().key, now + number * step)
        encoded, entries = codec.encode(ring, session), index.entries(ring, session)
        digest = entries_digest(session, entries)
        prepared.append((session.key, encoded.write_id, session.ends_at, encoded.record, entries, digest))
    return prepared


def batches(session_keys: list[bytes], sessions: int, now: float, step: float) -> Iterator[list[Row]]:
    """Prepared by two processes, a few batches ahead."""
    with ProcessPoolExecutor(2) as pool:
        starts = iter(range(0, sessions, BATCH))

        def submit(first: int) -> Future[list[Row]]:
            return pool.submit(rows, session_keys, first, min(BATCH, sessions - first), now, step)

        ahead = [submit(first) for first in islice(starts, 4)]
        while ahead:
            yield ahead.pop(0).result()
            ahead += [submit(first) for first in islice(starts, 1)]


def fill_sqlite(path: Path, session_keys: list[bytes], sessions: int, now: float, step: float = 0.0) -> list[str]:
    """Returns the keys of the sessions. A file that was not filled completely is removed."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    prepare(path, busy_timeout=60.0)
    connection = sqlite3.connect(path, isolation_level=None)
    keys, entries = list[str](), list[tuple[str, str, str]]()
    try:
        connection.execute("PRAGMA journal_mode = OFF").fetchall()  # a fill that fails is repeated
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -500000")
        connection.execute("BEGIN")
        for batch in batches(session_keys, sessions, now, step):
            connection.executemany(
                "INSERT INTO session (key, version, write_id, ends_at, last_seen_at, record) VALUES (?, 1, ?, ?, ?, ?)",
                [(key, write_id, ends_at, now, record) for key, write_id, ends_at, record, *_ in batch],
            )
            keys += [key for key, *_ in batch]
            entries += [(name, hashed, key) for key, *_, named, _ in batch for name, hashed in named]
        entries.sort()  # a B-tree that is filled in order has full pages, and writes each once
        connection.executemany("INSERT INTO session_index (name, hash, key) VALUES (?, ?, ?)", entries)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
    except BaseException:
        path.unlink()
        raise
    finally:
        connection.close()
    return keys


def _command(*words: Any) -> bytes:
    """A command in the protocol of Redis (RESP)."""
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


def _commands(batch: list[Row], now: float) -> tuple[int, bytes]:
    commands = list[bytes]()
    for key, write_id, ends_at, record, entries, digest in batch:
        name, expiry = f"bff:{{{key}}}", int((ends_at + 86_400) * 1000)
        commands.append(_command("HSET", name, "v", 1, "w", write_id, "r", record, "x", digest, "s", now))
        commands.append(_command("PEXPIREAT", name, expiry))
        for index_name, hashed in entries:
            entry = f"bff:by-{index_name}:{hashed}"
            commands.append(_command("HSET", entry, key, f"{expiry}:{int(now * 1000)}"))
            commands.append(_command("PEXPIREAT", entry, expiry))
    return len(commands), b"".join(commands)


async def fill_redis(port: int, session_keys: list[bytes], sessions: int, now: float, step: float = 0.0) -> list[str]:
    """Returns the keys of the sessions."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    keys = list[str]()

    async def read_replies(expected: int) -> None:
        for _ in range(expected):
            reply = await reader.readline()
            if not reply.startswith(b":"):
                raise RuntimeError(f"Redis replied {reply[:100]!r}")

    for batch in batches(session_keys, sessions, now, step):
        keys += [key for key, *_ in batch]
        expected, commands = _commands(batch, now)
        replies = asyncio.create_task(read_replies(expected))
        writer.write(commands)
        await writer.drain()
        await replies
    writer.close()
    await writer.wait_closed()
    return keys
