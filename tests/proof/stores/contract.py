"""What every session store must do, whatever it is made of. `store_factory` opens another store on the same data."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final
from uuid import uuid4

import pytest

from bff.errors import StoreUnavailable
from bff.session.keyring import KeyRing, new_key, new_session_id
from bff.session.revocation import Revocation
from bff.session.session import EndReason, Session, SessionKey, Tokens, User
from bff.session.store import (
    VALUE_LIMIT,
    Found,
    IndexName,
    InvalidPosition,
    KeyRemoved,
    Missing,
    SessionStore,
    StoredView,
    Viewed,
    all_records,
)
from bff.storage.limits import StoreLimits
from tests.harness.example_session import a_session, created, is_under_older_key, next_version, session_of
from tests.harness.waiting import loop_turns

StoreFactory = Callable[..., SessionStore]
Stores = tuple[SessionStore, SessionStore]
Dump = Callable[[], Awaitable[bytes]]

A_DAY: Final = 86_400.0
STRANGE_KEYS: Final = (
    *("", "x\r\nDEL y", "a b", "*", "k" * 10_240, "A" * 42, "A" * 44, "A" * 42 + "\n", "é" * 43, "{" * 43),
)


def a_revocation(until: float, number: int) -> Revocation:
    token, issuer = f"canary-token-{number}", "https://canary.example"
    return Revocation(f"revocation-{number}", token, "refresh_token", issuer, "canary-session", until)


class SessionStoreContract:
    @pytest.fixture
    def here(self, store_factory: StoreFactory) -> SessionStore:
        return store_factory()

    @pytest.fixture
    def there(self, store_factory: StoreFactory) -> SessionStore:
        return store_factory()

    @pytest.fixture
    def store(self, here: SessionStore) -> SessionStore:
        return here

    @pytest.fixture
    def stores(self, here: SessionStore, there: SessionStore) -> Stores:
        return here, there

    async def test_what_is_created_is_read_back_whole_by_every_replica(
        self, here: SessionStore, there: SessionStore
    ) -> None:
        before = await here.now()
        full = a_session(before, extra={"a_later_field": {"x": 1}, "tokens": {"dpop": "canary"}})
        bare = a_session(before, attempt=None, concurrent_successor=None, rejected_token=None, sid=None, browser=None)
        bare = replace(bare, user=User("00u"), tokens=Tokens("at", 1, 2, 3), auth_time=None, acr=None)
        for session in (full, bare):
            await here.create(session)
            for store in (here, there):
                reading = await store.get(session.key)
                assert isinstance(reading, Found)
                assert reading.session == session
                assert before <= reading.last_seen_at <= reading.now

    async def test_a_key_is_taken_once_but_the_same_create_may_be_repeated(self, store: SessionStore) -> None:
        session = await created(store)
        await store.create(session)
        with pytest.raises(StoreUnavailable):
            await store.create(replace(session, user=User("somebody else")))
        assert session_of(await store.get(session.key)) == session

    @pytest.mark.case("ST-021")
    async def test_a_key_of_foreign_shape_is_no_key(self, store: SessionStore) -> None:
        for strange in map(SessionKey, STRANGE_KEYS):
            assert session_of(await store.get(strange)) is None
            assert await store.delete(strange, EndReason.OPERATOR) is None
            await store.touch(strange, 1.0)
            with pytest.raises(ValueError, match="key"):
                await store.create(a_session(key=strange))
            with pytest.raises(ValueError, match="key"):
                await store.replace(a_session(key=strange), 1)

    @pytest.mark.case("ST-021")
    async def test_names_of_any_shape_are_names(self, store: SessionStore) -> None:
        until = await store.now() + 60
        for strange in (*STRANGE_KEYS, "\ud800"):
            await store.put_end_reason(strange, EndReason.IDLE_TIMEOUT)
            assert await store.claim_once(strange, until)
        for strange in (*STRANGE_KEYS, "\ud800"):
            assert await store.take_end_reason(strange) is EndReason.IDLE_TIMEOUT
            assert not await store.claim_once(strange, until)
            assert list(await store.find("email", strange)) == []

    async def test_replace_writes_exactly_when_the_version_is_the_expected_one(
        self, here: SessionStore, there: SessionStore
    ) -> None:
        session = await created(here)
        mine = next_version(session, rotation=2, attempt=None)
        theirs = next_version(session, acr="theirs")
        assert (await here.replace(mine, 1)).done
        assert not (await there.replace(theirs, 1)).done
        assert session_of(await there.get(session.key)) == mine
        assert (await there.replace(replace(theirs, version=3), 2)).done
        assert session_of(await here.get(session.key)) == replace(theirs, version=3)

    async def test_of_many_writers_of_one_version_one_wins(self, stores: Stores) -> None:
        session = await created(stores[0])
        writes = [next_version(session, acr=f"writer {n}") for n in range(30)]
        answers = await asyncio.gather(*(stores[n % 2].replace(write, 1) for n, write in enumerate(writes)))
        winners = [write for write, answer in zip(writes, answers, strict=True) if answer.done]
        assert len(winners) == 1
        assert session_of(await stores[1].get(session.key)) == winners[0]

    async def test_the_same_write_repeated_after_a_lost_answer_is_done(
        self, here: SessionStore, there: SessionStore
    ) -> None:
        session = await created(here)
        write = next_version(session, rotation=2)
        assert (await here.replace(write, 1)).done
        assert (await there.replace(write, 1)).done
        assert session_of(await here.get(session.key)) == write

    async def test_many_records_are_read_as_each_of_them_is(self, here: SessionStore, there: SessionStore) -> None:
        now = await here.now()
        same, written, seen, ended = [await created(here) for _ in range(4)]
        keys = [session.key for session in (same, written, seen, ended)]
        keys += [new_session_id().key, SessionKey("no key")]

        def fields(stored: StoredView) -> tuple[object, ...]:
            if not isinstance(stored, Viewed):
                return (type(stored),)
            view = stored.view
            of_the_session = view.key, view.version, view.rotation, view.user, view.tokens.access_token
            return *of_the_session, stored.last_seen_at, stored.older_key

        async def as_each() -> list[str]:
            many = await here.get_many(keys)
            each = [await here.get(key) for key in keys]
            for one, other in zip(many, each, strict=True):
                assert fields(one) == fields(other)
                if isinstance(one, Viewed) and isinstance(other, Viewed):
                    assert abs(one.now - other.now) < 60
                if isinstance(one, Found) and isinstance(other, Found):
                    assert one.session == other.session
            return ["Viewed" if isinstance(one, Viewed) else type(one).__name__ for one in many]

        for _ in range(2):
            assert await as_each() == ["Viewed"] * 4 + ["Missing"] * 2
        await there.replace(replace(written, rotation=written.rotation + 1), written.version)
        await there.touch(seen.key, now + 100)
        await there.delete(ended.key, EndReason.SIGNED_OUT)
        for _ in range(2):
            assert await as_each() == ["Viewed"] * 3 + ["Missing"] * 3
        [changed, moved] = await here.get_many([written.key, seen.key])
        assert isinstance(changed, Viewed)
        assert isinstance(moved, Viewed)
        assert (changed.view.rotation, moved.last_seen_at) == (written.rotation + 1, now + 100)
        assert list(await here.get_many([])) == []

    async def test_a_deleted_session_stays_deleted(self, here: SessionStore, there: SessionStore) -> None:
        session = await created(here)
        await there.delete(session.key, EndReason.SIGNED_OUT)
        assert not (await here.replace(next_version(session), 1)).done
        await here.touch(session.key, await here.now() + 100)
        assert session_of(await here.get(session.key)) is None
        assert list(await here.find("sub", session.user.sub)) == []

    async def test_delete_answers_what_it_deleted_and_marks_why(self, here: SessionStore, there: SessionStore) -> None:
        session = await created(here)
        assert await here.delete(session.key, EndReason.BACK_CHANNEL) == session
        assert await there.delete(session.key, EndReason.OPERATOR) is None
        assert await there.take_end_reason(session.key) is EndReason.BACK_CHANNEL
        assert await here.take_end_reason(session.key) is None

    @pytest.mark.case("ST-004")
    async def test_delete_of_a_version_that_moved_deletes_nothing(self, store: SessionStore) -> None:
        session = await created(store)
        moved = next_version(session, rotation=2)
        await store.replace(moved, 1)
        assert await store.delete(session.key, EndReason.REFRESH_TOKEN_INVALID, expected_version=1) is None
        assert session_of(await store.get(session.key)) == moved
        assert await store.take_end_reason(session.key) is None
        assert await store.delete(session.key, EndReason.REFRESH_TOKEN_INVALID, expected_version=2) == moved

    async def test_one_of_many_deletes_gets_the_session(self, stores: Stores) -> None:
        session = await created(stores[0])
        answers = await asyncio.gather(*(stores[n % 2].delete(session.key, EndReason.SIGNED_OUT) for n in range(20)))
        assert [answer for answer in answers if answer is not None] == [session]

    async def test_many_are_deleted_at_once_each_by_one_caller(self, here: SessionStore, there: SessionStore) -> None:
        first = a_session(await here.now())
        sessions = [first, *(a_session(first.signed_in_at, user=first.user) for _ in range(229)), a_session()]
        for session in sessions[:-1]:
            await here.create(session)
        strange = [session.key for session in sessions] + [SessionKey(name) for name in STRANGE_KEYS]
        answers = await asyncio.gather(*(store.delete_all(strange, EndReason.OPERATOR) for store in (here, there)))
        assert all(answer.complete for answer in answers)
        deleted = [session for answer in answers for session in answer.sessions]
        assert sorted(deleted, key=lambda one: one.key) == sorted(sessions[:-1], key=lambda one: one.key)
        assert list(await here.find("sub", first.user.sub)) == []
        assert {await there.get_end_reason(session.key) for session in sessions[:-1]} == {EndReason.OPERATOR}
        assert await there.get_end_reason(sessions[-1].key) is None
        assert (await there.delete_all([], EndReason.OPERATOR)).sessions == []

    async def test_a_person_may_have_more_sessions_than_are_read_at_a_time(self, store: SessionStore) -> None:
        first = a_session(await store.now())
        mine = [first, *(a_session(first.signed_in_at, user=first.user) for _ in range(229))]
        for session in mine:
            await store.create(session)
        found = [session.key for session in await store.find("sub", first.user.sub)]
        assert sorted(found) == sorted(session.key for session in mine)

    async def test_one_end_reason_is_kept_under_many_names(self, here: SessionStore, there: SessionStore) -> None:
        names = [f"browser {number}" for number in range(5)]
        await here.put_end_reasons(names, EndReason.UNIVERSAL_LOGOUT)
        assert {await there.get_end_reason(name) for name in names} == {EndReason.UNIVERSAL_LOGOUT}

    async def test_an_end_reason_is_taken_once(self, stores: Stores) -> None:
        name = f"browser {uuid4()}"
        await stores[0].put_end_reason(name, EndReason.IDLE_TIMEOUT)
        await stores[0].put_end_reason(name, EndReason.UNIVERSAL_LOGOUT)
        answers = await asyncio.gather(*(stores[n % 2].take_end_reason(name) for n in range(20)))
        assert [answer for answer in answers if answer is not None] == [EndReason.UNIVERSAL_LOGOUT]

    async def test_an_end_reason_that_is_kept_is_read_by_all_until_it_is_taken(
        self, here: SessionStore, there: SessionStore
    ) -> None:
        await here.put_end_reason("tabs", EndReason.SIGNED_OUT)
        for store in (here, there, here):
            assert await store.take_end_reason("tabs", keep=3600) is EndReason.SIGNED_OUT
            assert await store.get_end_reason("tabs") is EndReason.SIGNED_OUT
        assert await there.take_end_reason("tabs") is EndReason.SIGNED_OUT
        assert await here.take_end_reason("tabs", keep=3600) is None

    async def test_last_seen_moves_forward_only_and_makes_no_version(self, store: SessionStore) -> None:
        session = await created(store)
        later = await store.now() + 60
        await store.touch(session.key, later)
        await store.touch(session.key, later - 30)
        reading = await store.get(session.key)
        assert isinstance(reading, Found)
        assert reading.last_seen_at == pytest.approx(later, abs=0.001)
        assert reading.session == session
        assert (await store.replace(next_version(session), 1)).done
        again = await store.get(session.key)
        assert isinstance(again, Found)
        assert again.last_seen_at == pytest.approx(later, abs=0.001)

    @pytest.mark.parametrize("index", ["sub", "sid", "email", "browser", "id"])
    async def test_a_session_is_found_by_each_index(
        self, here: SessionStore, there: SessionStore, index: IndexName
    ) -> None:
        session = await created(here)
        await created(here)
        values = {"sub": session.user.sub, "email": session.user.email, "sid": session.sid, "browser": session.browser}
        value = session.fingerprint if index == "id" else values[index]
        assert value is not None
        assert list(await there.find(index, value)) == [session]
        await there.delete(session.key, EndReason.OPERATOR)
        assert list(await here.find(index, value)) == []
        assert list(await here.find(index, "nobody")) == []

    async def test_one_person_may_have_many_sessions(self, store: SessionStore) -> None:
        first = a_session(await store.now())
        assert first.user.email is not None
        second = a_session(await store.now(), user=replace(first.user, email=first.user.email.upper()))
        await store.create(first)
        await store.create(second)
        for email in (first.user.email, first.user.email.lower()):
            assert {each.key for each in await store.find("email", email)} == {first.key, second.key}
        assert {each.key for each in await store.find("sub", first.user.sub)} == {first.key, second.key}
        assert list(await store.find("sub", first.user.sub.upper())) == []

    async def test_a_changed_value_is_found_under_its_new_name_only(self, store: SessionStore) -> None:
        session = await created(store)
        stepped_up = next_version(session, sid="another sid", browser=None)
        await store.replace(stepped_up, 1)
        assert session.sid is not None
        assert session.browser is not None
        assert list(await store.find("sid", "another sid")) == [stepped_up]
        assert list(await store.find("sid", session.sid)) == []
        assert list(await store.find("browser", session.browser)) == []
        assert list(await store.find("sub", session.user.sub)) == [stepped_up]
        await store.delete(session.key, EndReason.OPERATOR)

    async def test_of_fifty_claims_one_wins(self, stores: Stores) -> None:
        name, until = f"jti {uuid4()}", await stores[0].now() + 60
        answers = await asyncio.gather(*(stores[n % 2].claim_once(name, until) for n in range(50)))
        assert answers.count(True) == 1
        assert await stores[0].claim_once(f"jti {uuid4()}", until)

    async def test_a_claim_that_ran_out_may_be_made_again(self, store: SessionStore) -> None:
        name, now = f"jti {uuid4()}", await store.now()
        assert await store.claim_once(name, now - 1)
        assert await store.claim_once(name, now + 60)
        assert not await store.claim_once(name, now + 60)

    async def test_the_clock_never_steps_back(self, store: SessionStore) -> None:
        key = new_session_id().key
        times = [time for _ in range(100) for time in (await store.now(), (await store.get(key)).now)]
        assert times == sorted(times)

    async def test_a_large_record_is_kept_and_an_absurd_one_refused(self, store: SessionStore) -> None:
        session = a_session(await store.now(), user=User("00u", claims={"groups": ["g" * 50] * 900}))
        await store.create(session)
        assert session_of(await store.get(session.key)) == session
        absurd = next_version(session, user=User("00u", claims={"groups": ["g" * 50] * 1300}))
        with pytest.raises(StoreUnavailable, match="bytes") as refusal:
            await store.replace(absurd, 1)
        assert refusal.value.code == "record_too_large"
        assert session_of(await store.get(session.key)) == session

    async def test_an_ended_session_is_readable_for_a_day_but_not_found(self, store: SessionStore) -> None:
        now = await store.now()
        ended, forgotten = a_session(now, ends_at=now - 60), a_session(now, ends_at=now - A_DAY - 60)
        await store.create(ended)
        await store.create(forgotten)
        assert session_of(await store.get(ended.key)) == ended
        assert session_of(await store.get(forgotten.key)) is None
        assert list(await store.find("sub", ended.user.sub)) == []
        await store.purge_expired()
        assert session_of(await store.get(ended.key)) == ended
        assert session_of(await store.get(forgotten.key)) is None
        assert await store.purge_expired() == 0

    async def test_keys_are_rolled_without_losing_a_session(self, store_factory: StoreFactory) -> None:
        old, new = new_key(), new_key()
        before, during, after = (KeyRing.from_keys(keys) for keys in ([old], [old, new], [new, old]))
        first, second, third = (store_factory(ring=ring) for ring in (before, during, after))
        session = await created(first)
        name, until = f"jti {uuid4()}", await first.now() + 60
        assert session_of(await third.get(session.key)) == session
        assert list(await third.find("sub", session.user.sub)) == [session]
        rolled = next_version(session, rotation=2)
        assert (await third.replace(rolled, 1)).done
        for store in (second, third):
            assert session_of(await store.get(session.key)) == rolled
            assert list(await store.find("sub", session.user.sub)) == [rolled]
        assert await first.claim_once(name, until)
        answers = [await store.claim_once(name, until) for store in (second, third)]
        assert answers == [False, False]

    async def test_a_key_taken_away_makes_its_sessions_unreadable_not_an_error(
        self, store_factory: StoreFactory
    ) -> None:
        here, stranger = store_factory(), store_factory(ring=KeyRing.from_keys([new_key()]))
        session = await created(here)
        assert session_of(await stranger.get(session.key)) is None
        assert list(await stranger.find("sub", session.user.sub)) == []
        await stranger.purge_expired()
        assert session_of(await here.get(session.key)) == session
        assert list(await here.find("sub", session.user.sub)) == [session]

    async def test_a_cancelled_caller_loses_no_write_and_halves_none(self, store: SessionStore) -> None:
        now = await store.now()
        sessions = [a_session(now) for _ in range(20)]
        creations = [asyncio.ensure_future(store.create(session)) for session in sessions]
        await loop_turns()
        for creation in creations:
            creation.cancel()
        await asyncio.gather(*creations, return_exceptions=True)
        for session in sessions:
            await store.create(session)  # the same write again: done already, or done now
            assert session_of(await store.get(session.key)) == session
            assert list(await store.find("sub", session.user.sub)) == [session]

    async def test_a_dump_of_the_store_contains_no_user_data(self, store: SessionStore, dump: Dump) -> None:
        session = a_session(await store.now(), extra={"later": "canary"})
        await store.create(session)
        await store.replace(next_version(session, sid="canary-sid"), 1)
        await store.put_end_reason("canary-browser", EndReason.IDLE_TIMEOUT)
        await store.claim_once("canary@example.com", await store.now() + 60)
        await store.put_marker("email canary@example.com", await store.now(), await store.now() + 60)
        assert await store.revocations.add(a_revocation(await store.now() + 60, 1))
        await store.leave_value("canary-value", b"canary-value", await store.now() + 60)
        content = await dump()
        assert session.key.encode() in content
        assert b"canary" not in content.lower()

    async def test_a_logout_marker_is_read_by_every_replica_and_not_consumed(
        self, here: SessionStore, there: SessionStore
    ) -> None:
        name, now = f"sub canary {uuid4()}", await here.now()
        assert await here.get_marker(name) is None
        await here.put_marker(name, now - 5, now + 60)
        for store in (here, there, here):
            assert await store.get_marker(name) == pytest.approx(now - 5, abs=0.001)
        assert await there.get_marker(f"{name} another") is None

    async def test_the_latest_of_several_logout_markers_stays_and_for_the_longest_time(
        self, here: SessionStore, there: SessionStore
    ) -> None:
        name, now = f"sub {uuid4()}", await here.now()
        await asyncio.gather(
            *(store.put_marker(name, now + at, now + 60) for at in range(10) for store in (here, there))
        )
        await here.put_marker(name, now - 100, now + 0.001)
        assert await there.get_marker(name) == pytest.approx(now + 9, abs=0.001)

    async def test_a_logout_marker_is_forgotten_after_its_time(self, store: SessionStore) -> None:
        name, now = f"sub {uuid4()}", await store.now()
        await store.put_marker(name, now - 10, now - 1)
        assert await store.get_marker(name) is None
        await store.put_marker(name, now - 20, now + 60)
        assert await store.get_marker(name) == pytest.approx(now - 20, abs=0.001)

    async def test_a_logout_marker_is_seen_while_keys_are_rolled(self, store_factory: StoreFactory) -> None:
        old, new = new_key(), new_key()
        before, during, after, last = (
            store_factory(ring=KeyRing.from_keys(keys)) for keys in ([old], [old, new], [new, old], [new])
        )
        now = await before.now()
        for number, (left, right) in enumerate([(before, during), (during, after), (after, last), (during, last)]):
            await left.put_marker(f"sub {number}", now, now + 60)
            assert await right.get_marker(f"sub {number}") is not None

    async def test_all_records_are_listed_those_of_a_removed_key_too(self, store_factory: StoreFactory) -> None:
        old, new = new_key(), new_key()
        stores = [store_factory(ring=KeyRing.from_keys(keys)) for keys in ([old], [new, old], [new])]
        now = await stores[0].now()
        under_old = [a_session(now) for _ in range(230)]
        await asyncio.gather(*(stores[0].create(session) for session in under_old))
        under_new = a_session(now)
        await stores[1].create(under_new)
        await stores[1].put_end_reason("browser", EndReason.IDLE_TIMEOUT)
        await stores[1].put_marker("sub", now, now + 60)
        readings = [reading async for reading in all_records(stores[1])]
        listed = {reading.session.key: reading for reading in readings if isinstance(reading, Found)}
        assert listed.keys() == {session.key for session in (*under_old, under_new)}
        assert len(readings) == 231
        assert all(reading.last_seen_at >= now for reading in listed.values())
        assert {key for key, reading in listed.items() if reading.older_key} == {session.key for session in under_old}
        blind = [reading async for reading in all_records(stores[2])]
        assert [reading.session for reading in blind if isinstance(reading, Found)] == [under_new]
        assert sum(isinstance(reading, KeyRemoved) for reading in blind) == 230

    async def test_pages_and_keys_reach_every_session_once(self, store: SessionStore) -> None:
        now = await store.now()
        sessions = [a_session(now) for _ in range(40)]
        await asyncio.gather(*(store.create(session) for session in sessions))
        for count in (1, 7, 40, 99):
            read: list[str] = []
            position: str | None = ""
            while position is not None:
                page = await store.page(position, count)
                assert len(page.records) <= count
                read += [record.session.key for record in page.records if isinstance(record, Found)]
                position = page.following
            assert sorted(read) == sorted(session.key for session in sessions)
        keys: list[str] = []
        position = ""
        while position is not None:
            page_of_keys = await store.keys(position)
            keys += page_of_keys.keys
            position = page_of_keys.following
        assert sorted(keys) == sorted(session.key for session in sessions)

    async def test_a_position_of_foreign_shape_is_refused(self, store: SessionStore) -> None:
        for strange in ("x", "-1", "1.x.", "9999.0.", f"0.{10**19 * 2}.", "1" * 40, "\n"):
            with pytest.raises(InvalidPosition):
                await store.page(strange)

    async def test_a_rewrap_needs_no_older_key_and_may_be_repeated(self, store_factory: StoreFactory) -> None:
        old, new = new_key(), new_key()
        before, after, last = (store_factory(ring=KeyRing.from_keys(keys)) for keys in ([old], [new, old], [new]))
        sessions = [await created(before) for _ in range(5)]
        current = await created(after)
        steps = [step async for step in after.rewrap()]
        assert (sum(step.rewrapped for step in steps), sum(step.newest for step in steps)) == (5, 1)
        for session in (*sessions, current):
            assert session_of(await last.get(session.key)) == session
            assert list(await last.find("sub", session.user.sub)) == [session]
            assert list(await last.find("id", session.fingerprint)) == [session]
        stranger = store_factory(ring=KeyRing.from_keys([new_key()]))
        for store, newest, unreadable in ((after, 6, 0), (stranger, 0, 6)):
            steps = [step async for step in store.rewrap()]
            assert (sum(step.newest for step in steps), sum(step.unreadable for step in steps)) == (newest, unreadable)
            assert sum(step.rewrapped for step in steps) == 0
        assert (await last.replace(next_version(sessions[0]), 1)).done

    async def test_a_rewrap_neither_loses_nor_refuses_a_concurrent_write(self, store_factory: StoreFactory) -> None:
        old, new = new_key(), new_key()
        before, after, last = (store_factory(ring=KeyRing.from_keys(keys)) for keys in ([old], [new, old], [new]))
        sessions = [await created(before) for _ in range(12)]
        ended = asyncio.Event()

        async def write(session: Session, store: SessionStore) -> Session:
            for number in range(12):
                session = next_version(session, sid=f"sid {number} {uuid4()}")
                assert (await store.replace(session, session.version - 1)).done
            return session

        async def rewrap() -> None:
            while not ended.is_set():
                assert [step.changing async for step in after.rewrap()]
                await loop_turns()

        rewraps = asyncio.create_task(rewrap())
        # Replicas that still seal under the older key, and replicas that do not.
        written = await asyncio.gather(
            *(write(session, (before, after)[number % 2]) for number, session in enumerate(sessions))
        )
        ended.set()
        await rewraps
        assert [step.changing async for step in after.rewrap()]
        for session in written:
            assert session_of(await last.get(session.key)) == session
            assert session.sid is not None
            assert list(await last.find("sid", session.sid)) == [session]

    async def test_a_reading_tells_under_which_key_its_record_is_sealed(self, store_factory: StoreFactory) -> None:
        old, new = new_key(), new_key()
        before, after, last = (store_factory(ring=KeyRing.from_keys(keys)) for keys in ([old], [new, old], [new]))
        session = await created(before)
        assert not is_under_older_key(await before.get(session.key))
        assert is_under_older_key(await after.get(session.key))
        assert isinstance(await last.get(session.key), KeyRemoved)
        assert (await after.replace(next_version(session), 1)).done
        for store in (after, last):
            reading = await store.get(session.key)
            assert isinstance(reading, Found)
            assert (reading.session, reading.older_key) == (next_version(session), False)
        assert isinstance(await after.get(new_session_id().key), Missing)

    async def test_a_value_is_taken_once_by_whichever_replica(self, stores: Stores) -> None:
        name, until = f"value {uuid4()}", await stores[0].now() + 60
        assert await stores[0].take_value(name) is None
        await stores[0].leave_value(name, b"\x00\xffcanary", until)
        assert await stores[1].take_value(f"{name} another") is None
        taken = await asyncio.gather(*(stores[n % 2].take_value(name) for n in range(20)))
        assert sorted(value for value in taken if value is not None) == [b"\x00\xffcanary"]
        assert await stores[0].take_value(name) is None

    async def test_a_value_is_lost_after_its_time(self, store: SessionStore) -> None:
        name, now = f"value {uuid4()}", await store.now()
        await store.leave_value(name, b"late", now - 1)
        assert await store.take_value(name) is None
        await store.leave_value(name, b"again", now + 60)
        await store.purge_expired()
        assert await store.take_value(name) == b"again"

    async def test_a_value_opens_under_every_key_of_the_ring_and_no_other(self, store_factory: StoreFactory) -> None:
        old, new = new_key(), new_key()
        before, after, stranger = (store_factory(ring=KeyRing.from_keys(keys)) for keys in ([old], [new, old], [new]))
        until = await before.now() + 60
        await before.leave_value("one", b"value", until)
        await before.leave_value("two", b"value", until)
        assert await after.take_value("one") == b"value"
        assert await stranger.take_value("two") is None
        with pytest.raises(ValueError, match="large"):
            await before.leave_value("three", b"x" * (VALUE_LIMIT + 1), until)
        await before.leave_value("three", b"x" * VALUE_LIMIT, until)
        assert await after.take_value("three") == b"x" * VALUE_LIMIT

    async def test_a_revocation_is_claimed_by_one_replica_and_again_when_its_lease_is_over(
        self, stores: Stores
    ) -> None:
        until = await stores[0].now() + 60
        kept = [a_revocation(until, n) for n in range(20)]
        for revocation in kept:
            assert await stores[0].revocations.add(revocation)
        assert await stores[1].revocations.add(kept[0]), "the same write again is done already"
        assert [await store.revocations.waiting() for store in stores] == [20, 20]
        claims = await asyncio.gather(*(stores[n % 2].revocations.claim(3, 600.0) for n in range(10)))
        claimed = [revocation for claim in claims for revocation in claim]
        assert {len(claim) for claim in claims} <= {0, 2, 3}
        assert {(one.id, one.token, one.hint, one.issuer, one.session, one.attempts) for one in claimed} == {
            (one.id, one.token, one.hint, one.issuer, one.session, 1) for one in kept
        }
        assert [one.until for one in claimed] == pytest.approx([until] * 20, abs=0.001)
        assert list(await stores[1].revocations.claim(20, 600.0)) == []
        for revocation in claimed[:18]:
            await stores[1].revocations.finish(revocation.id)
        await stores[0].revocations.postpone(claimed[18].id, 0.0)
        await stores[0].revocations.postpone(claimed[19].id, 600.0)
        await stores[0].revocations.postpone(claimed[0].id, 0.0)
        (again,) = await stores[1].revocations.claim(20, 0.0)
        assert (again.id, again.attempts) == (claimed[18].id, 2)
        (again,) = await stores[0].revocations.claim(20, 600.0)
        assert (again.id, again.attempts) == (claimed[18].id, 3), "its lease is over: whoever held it has died"
        assert await stores[0].revocations.waiting() == 2

    async def test_those_that_are_due_the_longest_are_claimed_first(self, store: SessionStore) -> None:
        until = await store.now() + 600
        for n in range(6):
            assert await store.revocations.add(a_revocation(until, n))
        for n in (3, 1, 5, 0, 4, 2):
            await store.revocations.postpone(f"revocation-{n}", -60.0 + n)
        claimed = [one.id for _ in range(3) for one in await store.revocations.claim(2, 600.0)]
        assert [sorted(claimed[at : at + 2]) for at in (0, 2, 4)] == [
            ["revocation-0", "revocation-1"],
            ["revocation-2", "revocation-3"],
            ["revocation-4", "revocation-5"],
        ]

    async def test_a_revocation_that_is_of_no_use_any_more_is_gone(self, store: SessionStore) -> None:
        now = await store.now()
        assert await store.revocations.add(a_revocation(now - 1, 1))
        assert await store.revocations.add(a_revocation(now + 600, 2))
        assert [one.id for one in await store.revocations.claim(9, 600.0)] == ["revocation-2"]
        await store.purge_expired()
        assert await store.revocations.waiting() == 1

    async def test_the_queue_of_revocations_is_bounded(self, store_factory: StoreFactory) -> None:
        store = store_factory(limits=StoreLimits(revocations=3))
        until = await store.now() + 600
        added = [await store.revocations.add(a_revocation(until, n)) for n in range(5)]
        assert added == [True, True, True, False, False]
        await store.revocations.finish("revocation-1")
        assert await store.revocations.add(a_revocation(until, 9))
        assert await store.revocations.add(*(a_revocation(until, n) for n in range(20, 25))) == 0
        for n in (0, 2):
            await store.revocations.finish(f"revocation-{n}")
        assert await store.revocations.add(*(a_revocation(until, n) for n in range(20, 25))) == 2

    async def test_the_later_turns_of_one_person_wait_for_the_others(
        self, here: SessionStore, there: SessionStore
    ) -> None:
        until = await here.now() + 7200
        many = [replace(a_revocation(until, n), turn=2000 * n) for n in range(4)]
        assert await here.revocations.add(*many) == 4
        assert await here.revocations.add(a_revocation(until, 9)) == 1
        order = [one.id for _ in range(3) for one in await there.revocations.claim(2, 600.0)]
        expected = [0, 9, 1, 2, 3]
        assert [{*order[:2]}, {*order[2:4]}, {*order[4:]}] == [
            {f"revocation-{n}" for n in numbers} for numbers in (expected[:2], expected[2:4], expected[4:])
        ]
        assert list(await here.revocations.claim(9, 600.0)) == [], "each once, although some are not due"
        await here.revocations.postpone("revocation-3", 0.0)
        assert [one.attempts for one in await here.revocations.claim(9, 600.0)] == [2]

    async def test_a_revocation_whose_key_is_not_here_waits_for_a_replica_that_has_it(
        self, store_factory: StoreFactory
    ) -> None:
        old, new = new_key(), new_key()
        before, after, stranger = (store_factory(ring=KeyRing.from_keys(keys)) for keys in ([old], [new, old], [new]))
        revocation = a_revocation(await before.now() + 7200, 1)
        assert await before.revocations.add(revocation)
        assert list(await stranger.revocations.claim(9, 0.0)) == []
        assert list(await stranger.revocations.claim(9, 0.0)) == [], "nor is it asked for again and again"
        await before.revocations.postpone(revocation.id, 0.0)
        (claimed,) = await after.revocations.claim(9, 600.0)
        assert claimed.token == revocation.token
