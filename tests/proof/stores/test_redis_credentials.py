"""The password or the user of a real Redis changes under load, and no caller sees an error."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from bff.app import build_app
from bff.config.reload import Sources
from bff.config.store_credentials import StoreCredentials
from bff.session.keyring import KeyRing
from bff.session.store import SessionStore
from bff.storage.credentials import ChangingCredentials
from bff.storage.open import open_store
from tests.harness.example_session import created, next_version, session_of
from tests.harness.patience import PATIENT, PATIENT_STORES
from tests.harness.redis_rights import ACL, ACL_CLUSTER
from tests.harness.redis_servers import RedisServer
from tests.harness.settings import with_changes
from tests.harness.waiting import until

CALLERS = 6


def set_password(server: RedisServer, user: str, password: str) -> None:
    """From now on only this one; open connections stay logged in, as Redis documents."""
    rights = [*ACL.split(), *ACL_CLUSTER.split()]
    server.ask("ACL", "SETUSER", user, "reset", "on", f">{password}", "~bff:*", *rights)


def break_connections(server: RedisServer) -> None:
    server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


@dataclass
class Load:
    """Calls of many users, without a pause."""

    store: SessionStore
    calls: int = 0

    async def more(self, calls: int = 3 * CALLERS) -> None:
        """Returns after so many further calls; raises what a caller saw."""
        wanted = self.calls + calls
        async with asyncio.TaskGroup() as callers:
            for _ in range(CALLERS):
                callers.create_task(self._call_until(wanted))

    async def _call_until(self, wanted: int) -> None:
        session = await created(self.store)
        while self.calls < wanted:
            following = next_version(session)
            assert (await self.store.replace(following, session.version)).done
            assert session_of(await self.store.get(session.key)) == following
            session, self.calls = following, self.calls + 1


@asynccontextmanager
async def under_load(
    url: str, ring: KeyRing, source: Callable[[], StoreCredentials]
) -> AsyncIterator[tuple[ChangingCredentials, Load]]:
    credentials = ChangingCredentials(source(), lambda: credentials.replace(source()))
    store = open_store(url, ring, timeouts=PATIENT_STORES, credentials=credentials)
    load = Load(store)
    await load.more()
    yield credentials, load
    await load.more()
    await store.close()


async def during(load: Load, *steps: Callable[[], object]) -> None:
    """Takes the steps one after the other while calls are running."""
    running = asyncio.create_task(load.more(8 * CALLERS * len(steps)))
    for step in steps:
        before = load.calls
        await until(lambda before=before: running.done() or load.calls > before + CALLERS)
        assert not running.done(), running.exception()
        step()
    await running


async def test_a_password_may_change_first_at_the_server_or_first_in_the_file(
    own_server: RedisServer, ring: KeyRing
) -> None:
    passwords = [uuid4().hex for _ in range(4)]
    known = [StoreCredentials("bff", passwords[0])]
    set_password(own_server, "bff", passwords[0])
    async with under_load(own_server.url, ring, lambda: known[0]) as (credentials, load):

        def at_server(password: str) -> Callable[[], object]:
            return lambda: set_password(own_server, "bff", password)

        def in_file(password: str, *, noticed: bool) -> Callable[[], object]:
            def write() -> None:
                known[0] = StoreCredentials("bff", password)
                if noticed:
                    credentials.replace(known[0])

            return write

        def break_all() -> None:
            break_connections(own_server)

        def both(*steps: Callable[[], object]) -> Callable[[], object]:
            return lambda: [step() for step in steps]

        # The file first: what the server does not know yet harms neither open nor new connections.
        await during(load, in_file(passwords[1], noticed=True), break_all, at_server(passwords[1]), break_all)
        # The server first: a refusal has the file read at once, before any poll of it.
        for password in passwords[2:]:
            await during(load, both(at_server(password), in_file(password, noticed=False), break_all))
            assert credentials.current.password == password


async def test_a_user_of_its_own_for_each_time_span_replaces_the_one_before(
    own_server: RedisServer, ring: KeyRing
) -> None:
    """As secret stores create them: the new user exists before the file names it, and the old one is then deleted."""
    users = [StoreCredentials(f"bff-{number}", uuid4().hex) for number in range(3)]
    set_password(own_server, str(users[0].username), users[0].password)
    async with under_load(own_server.url, ring, lambda: users[0]) as (credentials, load):
        for user in users[1:]:
            before, added = credentials.current, user

            def add(added: StoreCredentials = added) -> None:
                set_password(own_server, str(added.username), added.password)
                credentials.replace(added)

            def remove(before: StoreCredentials = before) -> None:
                own_server.ask("ACL", "DELUSER", str(before.username))

            await during(load, add, remove)
        names = {line.split(b"user=")[1].split()[0] for line in own_server.ask("CLIENT", "LIST").splitlines()}
        assert names - {b"default"} <= {b"bff-2"}


async def test_an_open_connection_is_logged_in_again_without_a_new_one(own_server: RedisServer, ring: KeyRing) -> None:
    """A service with IAM closes connections some time after their last login."""

    def connections() -> set[tuple[bytes, bytes]]:
        rows = (
            dict(pair.split(b"=", 1) for pair in line.split()) for line in own_server.ask("CLIENT", "LIST").splitlines()
        )
        return {(row[b"id"], row[b"user"]) for row in rows if row[b"user"] != b"default"}

    for user in ("one", "two"):
        set_password(own_server, user, user)
    credentials = ChangingCredentials(StoreCredentials("one", "one"))
    store = open_store(own_server.url, ring, timeouts=PATIENT_STORES, credentials=credentials)
    await store.ping()
    before = connections()
    credentials.replace(StoreCredentials("two", "refused"))
    await store.ping()
    assert connections() == before
    credentials.replace(StoreCredentials("two", "two"))
    await store.ping()
    assert before
    assert connections() == {(number, b"two") for number, _ in before}
    await store.close()


async def test_every_server_of_a_cluster_gets_the_new_password(redis_cluster: list[RedisServer], ring: KeyRing) -> None:
    def set_everywhere(password: str) -> None:
        for server in redis_cluster:
            set_password(server, "changing", password)

    first, second = uuid4().hex, uuid4().hex
    known = [StoreCredentials("changing", first)]
    set_everywhere(first)

    def change() -> None:
        known[0] = StoreCredentials("changing", second)
        set_everywhere(second)
        for server in redis_cluster:
            break_connections(server)

    async with under_load(f"redis+cluster://127.0.0.1:{redis_cluster[0].port}", ring, lambda: known[0]) as (_, load):
        await during(load, change)
    for server in redis_cluster:
        server.ask("ACL", "DELUSER", "changing")


@pytest.mark.parametrize("lines", ["{}", "bff\n{}\n"])
async def test_a_running_application_reads_its_credentials_file_again(
    own_server: RedisServer, tmp_path: Path, lines: str
) -> None:
    passwords = [uuid4().hex, uuid4().hex]
    file = tmp_path / "credentials"
    file.write_text(lines.format(passwords[0]))
    set_password(own_server, "bff", passwords[0])
    user = "" if "bff" in lines else "bff@"
    url = f"redis://{user}127.0.0.1:{own_server.port}"
    sources = Sources(with_changes(store=url, store_credentials_file=str(file)))
    app = build_app(sources.load(), sources=sources, timeouts=PATIENT)  # never started: nothing polls the file
    store = app.stores.sessions
    await store.ping()
    set_password(own_server, "bff", passwords[1])
    await store.ping()
    file.write_text(lines.format(passwords[1]))
    break_connections(own_server)
    await store.ping()
    assert app.store_credentials is not None
    assert app.store_credentials.current == StoreCredentials("bff", passwords[1])
    await store.close()
    await app.providers.close()
