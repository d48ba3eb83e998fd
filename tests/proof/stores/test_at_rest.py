"""A stolen dump is worth nothing without the key ring: every byte of it is searched for what a session holds."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from bff.session.keyring import KeyRing, new_key
from bff.session.session import EndReason, Session
from bff.session.store import SessionStore
from bff.storage.open import open_store
from tests.harness.example_session import a_session, next_version
from tests.harness.patience import PATIENT_STORES
from tests.harness.redis_servers import RedisServer, one_server, until

MANY = 8


def canaries(session: Session) -> set[bytes]:
    """What nobody may read there, in every spelling that a store could give it."""
    tokens, user = session.tokens, session.user
    values = [tokens.access_token, tokens.refresh_token, tokens.id_token, user.sub, user.email, session.sid]
    values += [session.browser, session.client, session.address, session.acr, session.issuer, session.client_id]
    values += [str(claim) for claim in user.claims.values()]
    values += [session.concurrent_successor.refresh_token if session.concurrent_successor else None]
    plain = {value.encode() for value in values if value}
    spelled = {form for value in plain for form in (value, value.lower(), value.decode().encode("utf-16-le"))}
    # A value inside of base64 shows with one of three faces, by the offset it lies at.
    faces = {base64.b64encode(b"\0" * lead + value)[4:-4] for value in plain for lead in range(3)}
    return {form for form in spelled | faces | {value.hex().encode() for value in plain} if len(form) >= 8}


async def a_life(store: SessionStore) -> list[Session]:
    """Sessions that were created, renewed, found and ended, with all that this leaves behind."""
    now = await store.now()
    lived = []
    for number in range(MANY):
        session = a_session(now, client=f"Canary-Browser-{number}", address=f"203.0.113.{number}/canary")
        await store.create(session)
        renewed = next_version(session, acr=f"urn:canary:acr:{number}")
        await store.replace(renewed, 1)
        lived += [session, renewed]
        assert session.user.email is not None
        for kind, value in (("sub", session.user.sub), ("email", session.user.email), ("sid", session.sid)):
            await store.put_marker(f"ended {kind} {value}", now, now + 600)
        await store.claim_once(f"login:{session.sid}", now + 600)
        if number % 2:
            await store.delete(session.key, EndReason.BACK_CHANNEL)
            await store.put_end_reason(str(session.browser), EndReason.BACK_CHANNEL)
    return lived


def nothing_shows(content: bytes, lived: list[Session]) -> None:
    assert len(content) > 10_000
    found = {form for session in lived for form in canaries(session) if form in content}
    assert found == set()
    assert b"canary" not in content.lower()
    assert lived[0].key.encode() in content, "this is the store's content, with what is no secret in the clear"


async def test_no_byte_of_the_sqlite_files_tells_anything(tmp_path: Path) -> None:
    directory = tmp_path / "private"
    store = open_store(f"sqlite:///{directory}/bff.db", KeyRing.from_keys([new_key()]), timeouts=PATIENT_STORES)
    lived = await a_life(store)
    parts = {part.name: part.read_bytes() for part in directory.iterdir()}
    assert parts.keys() == {"bff.db", "bff.db-wal", "bff.db-shm", "bff.db-clock"}
    nothing_shows(b"".join(parts.values()), lived)
    await store.close()  # the log is folded into the database
    nothing_shows(b"".join(part.read_bytes() for part in directory.iterdir()), lived)


@pytest.fixture
def snapshot(tmp_path: Path) -> Callable[[RedisServer], bytes]:
    def take(server: RedisServer) -> bytes:
        server.ask("CONFIG", "SET", "rdbcompression", "no")
        server.ask("SAVE")
        return (server.directory / "dump.rdb").read_bytes()

    return take


async def test_no_byte_of_a_redis_snapshot_or_dump_tells_anything(
    tmp_path: Path, snapshot: Callable[[RedisServer], bytes]
) -> None:
    with one_server(tmp_path / "redis") as server:
        server.ask("CONFIG", "SET", "appendonly", "yes")
        # A child writes the first file of the log, and files are renamed when it is done: not while they are read.
        until(lambda: _log_has_begun(server.ask("INFO", "persistence")))
        store = open_store(server.url, KeyRing.from_keys([new_key()]), timeouts=PATIENT_STORES)
        lived = await a_life(store)
        nothing_shows(snapshot(server), lived)
        with redis.Redis(port=server.port, protocol=2) as client:
            dumped = b"".join(key + (client.dump(key) or b"") for key in client.scan_iter())
        nothing_shows(dumped, lived)
        log = b"".join(part.read_bytes() for part in (server.directory / "appendonlydir").iterdir())
        nothing_shows(log, lived)
        await store.close()


def _log_has_begun(info: dict[str, object]) -> bool:
    under_way = info["aof_rewrite_in_progress"] or info["aof_rewrite_scheduled"]
    return bool(info["aof_enabled"]) and not under_way


async def test_what_is_kept_cannot_be_guessed_by_hashing(tmp_path: Path) -> None:
    """A plain hash of an e-mail address would be as good as the address to whoever has a list of them."""
    import hashlib

    directory = tmp_path / "private"
    store = open_store(f"sqlite:///{directory}/bff.db", KeyRing.from_keys([new_key()]), timeouts=PATIENT_STORES)
    lived = await a_life(store)
    content = b"".join(part.read_bytes() for part in directory.iterdir())
    for session in lived:
        for value in (session.user.sub, str(session.user.email).casefold(), str(session.sid), str(session.browser)):
            for name in ("md5", "sha1", "sha256", "sha512"):
                digest = hashlib.new(name, value.encode(), usedforsecurity=False)
                for form in (digest.digest(), digest.hexdigest().encode(), base64.urlsafe_b64encode(digest.digest())):
                    assert form.rstrip(b"=") not in content
    await store.close()
