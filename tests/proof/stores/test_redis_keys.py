"""Index entries, expiry, rights, and what an error may say."""

import traceback

import pytest

from bff.errors import StoreUnavailable
from bff.session.keyring import KeyRing
from bff.session.revocation import Revocation
from bff.session.session import EndReason, Session
from bff.session.store import SessionStore, all_records
from bff.storage import index
from bff.storage.open import open_store
from tests.harness.example_session import a_session, created, next_version
from tests.harness.patience import PATIENT_STORES
from tests.harness.redis_rights import ACL, ACL_CLUSTER
from tests.harness.redis_servers import RedisServer


def entries_of(ring: KeyRing, session: Session) -> str:
    return f"bff:by-sub:{index.hashes(ring, 'sub', session.user.sub)[0]}"


@pytest.mark.case("ST-017")
async def test_an_entry_without_a_record_is_dropped_once_it_is_old_enough(
    own_server: RedisServer, store: SessionStore, ring: KeyRing
) -> None:
    session, gone = a_session(await store.now()), a_session()
    await store.create(session)
    entries = entries_of(ring, session)
    now = int(await store.now() * 1000)
    own_server.ask("HSET", entries, gone.key, f"{now + 10_000}:{now - 3_600_000}")
    own_server.ask("HSET", entries, a_session().key, f"{now + 10_000}:{now}")  # its record is about to be written
    own_server.ask("HSET", entries, "* nonsense", "nonsense")
    assert list(await store.find("sub", session.user.sub)) == [session]
    assert own_server.ask("HLEN", entries) == 2
    assert own_server.ask("HEXISTS", entries, session.key) == 1


@pytest.mark.case("ST-017")
async def test_a_list_of_entries_does_not_grow_for_ever(
    own_server: RedisServer, store: SessionStore, ring: KeyRing
) -> None:
    first = a_session(await store.now())
    entries = entries_of(ring, first)
    now = int(await store.now() * 1000)
    for _ in range(100):
        own_server.ask("HSET", entries, a_session().key, f"{now - 1}:{now - 10}")
    for _ in range(32):
        await store.create(a_session(await store.now(), user=first.user))
    assert own_server.ask("HLEN", entries) <= 64
    left = own_server.ask("PTTL", entries)
    assert 43_200_000 < left <= 43_200_000 + 86_400_000


async def test_every_key_expires(own_server: RedisServer, store: SessionStore) -> None:
    session, ended = await created(store), await created(store)
    await store.replace(next_version(session, sid="new"), 1)
    await store.delete(ended.key, EndReason.OPERATOR)
    await store.put_end_reason("browser", EndReason.IDLE_TIMEOUT)
    await store.claim_once("jti", await store.now() + 60)
    await store.put_marker("sub", await store.now(), await store.now() + 60)
    await store.leave_value("value", b"x", await store.now() + 60)
    await store.leave_value("taken", b"x", await store.now() + 60)
    assert await store.take_value("taken") == b"x"
    for name in ("one", "two"):
        session_ends = await store.now() + 60
        await store.revocations.add(Revocation(name, "t", "refresh_token", "https://i", "s", session_ends))
    await store.revocations.finish((await store.revocations.claim(1, 60.0))[0].id)
    await store.ping()
    keys = own_server.ask("KEYS", "*")
    assert len(keys) >= 13
    # -1 is a key that never expires; -2 is one that has, as what a ping leaves behind does after a second.
    assert [key for key in keys if own_server.ask("PTTL", key) == -1] == []


async def test_a_kept_end_reason_expires_after_its_first_reading(own_server: RedisServer, store: SessionStore) -> None:
    await store.put_end_reason("browser", EndReason.IDLE_TIMEOUT)
    (key,) = own_server.ask("KEYS", "*:end")
    for keep in (60, 3600):
        await store.take_end_reason("browser", keep=keep)
        assert own_server.ask("PTTL", key) <= 60_000


@pytest.mark.case("ST-023")
async def test_a_user_with_the_documented_rights_can_do_everything(own_server: RedisServer, ring: KeyRing) -> None:
    own_server.ask("ACL", "SETUSER", "bff", "on", ">s3cret/+?", "~bff:*", *ACL.split())
    store = open_store(f"redis://bff:s3cret%2F%2B%3F@127.0.0.1:{own_server.port}", ring, timeouts=PATIENT_STORES)
    session = a_session(await store.now())
    await store.ping()
    await store.create(session)
    await store.touch(session.key, await store.now() + 1)
    assert (await store.replace(next_version(session, sid="new"), 1)).done
    assert len(await store.find("sid", "new")) == 1
    assert await store.claim_once("jti", await store.now() + 60)
    assert await store.delete(session.key, EndReason.OPERATOR) is not None
    assert await store.get_end_reason(session.key) is EndReason.OPERATOR
    assert await store.take_end_reason(session.key) is EndReason.OPERATOR
    await store.put_marker("sub", await store.now(), await store.now() + 60)
    assert await store.get_marker("sub") is not None
    await store.leave_value("value", b"x", await store.now() + 60)
    assert await store.take_value("value") == b"x"
    assert await store.revocations.add(Revocation("x", "t", "refresh_token", "i", "s", await store.now() + 60))
    assert [one.id for one in await store.revocations.claim(5, 60.0)] == ["x"]
    await store.revocations.postpone("x", 1.0)
    await store.revocations.finish("x")
    assert await store.revocations.waiting() == 0
    assert [reading async for reading in all_records(store)] == []
    assert await store.eviction_policy() == "noeviction"
    own_server.ask("ACL", "SETUSER", "bff", "-evalsha", "-eval")
    with pytest.raises(StoreUnavailable, match="NoPermission"):
        await store.create(session)
    await store.close()


@pytest.mark.parametrize("host", ["127.0.0.1:1", "OWN"])
async def test_no_error_tells_the_password(own_server: RedisServer, ring: KeyRing, host: str) -> None:
    for scheme, path in (("redis", ""), ("redis+cluster", ""), ("redis+sentinel", "/service")):
        where = host.replace("OWN", f"127.0.0.1:{own_server.port}")
        store = open_store(
            f"{scheme}://someone:hunter2@{where}{path}?sentinel_password=hunter3", ring, timeouts=PATIENT_STORES
        )
        with pytest.raises(StoreUnavailable) as refusal:
            await store.now()
        told = "".join(traceback.format_exception(refusal.value)) + repr(store) + repr(refusal.value)
        assert "hunter" not in told
        await store.close()


@pytest.mark.case("ST-023")
async def test_a_cluster_needs_two_rights_more(redis_cluster: list[RedisServer], ring: KeyRing) -> None:
    for server in redis_cluster:
        server.ask("ACL", "SETUSER", "bff", "on", ">s3cret", "~bff:*", *ACL.split(), *ACL_CLUSTER.split())
    store = open_store(f"redis+cluster://bff:s3cret@127.0.0.1:{redis_cluster[1].port}", ring, timeouts=PATIENT_STORES)
    session = a_session(await store.now())
    await store.ping()
    await store.create(session)
    assert list(await store.find("sub", session.user.sub)) == [session]
    assert await store.eviction_policy() == "noeviction"
    assert await store.delete(session.key, EndReason.OPERATOR) == session
    await store.close()
