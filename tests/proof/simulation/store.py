"""One replica's connection to the database: a SessionStore (bff/session/store.py) over a network that fails."""

import asyncio
import dataclasses
import functools
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeVar

from bff.errors import StoreUnavailable
from bff.session.keyring import KeyRing
from bff.session.revocation import Revocation, RevocationQueue
from bff.session.session import EndReason, Session, SessionKey
from bff.session.store import Found, Missing, Replaced, StoredSession
from bff.storage import codec
from bff.storage.decoded_records import DecodedRecords
from tests.proof.simulation.database import Database
from tests.proof.simulation.faults import Faults
from tests.proof.simulation.loop import Process

T = TypeVar("T")


class SimulatedStore:
    def __init__(self, database: Database, ring: KeyRing, faults: Faults, random: Random, process: Process) -> None:
        self._decoded = DecodedRecords(ring)
        self._database, self._ring, self._faults, self._random = database, ring, faults, random
        self._process, self._loop, self._invariants = process, database.loop, database.invariants
        self.revocations: RevocationQueue = SimulatedRevocations(database, self._ask, process)

    async def now(self) -> float:
        return await self._ask(self._database.now, write=False, queue=True)

    async def get(self, key: SessionKey) -> StoredSession:
        self._invariants.read(key, self._process)
        now, row = await self._ask(lambda: self._database.get(key), write=False)
        if row is None:
            self._decoded.forget(key)
            return Missing(now)
        reading = self._decoded.read(key, row.version, row.record, now, row.last_seen_at)
        if not isinstance(reading, Found):
            self._invariants.broken("codec", f"{self._process.name} cannot read a record", key)
        return reading

    async def replace(self, session: Session, expected_version: int) -> Replaced:
        session = dataclasses.replace(session, version=expected_version + 1)
        encoded = codec.encode(self._ring, session)
        self._invariants.at_a_moment(self._process, session.key)
        now, done = await self._ask(
            lambda: self._database.replace(
                session, expected_version, encoded.write_id, encoded.record, self._process.name
            ),
            write=True,
        )
        if done:
            self._invariants.acknowledged(session)
        return Replaced(now, done)

    async def touch(self, key: SessionKey, last_seen_at: float) -> None:
        await self._ask(lambda: self._database.touch(key, last_seen_at), write=True)

    async def delete(self, key: SessionKey, reason: EndReason, expected_version: int | None = None) -> Session | None:
        op = f"{self._process.name}-{self._random.random()}"
        self._invariants.deleting(self._process, key, under_way=True)
        try:
            taken = await self._ask(lambda: self._database.delete(key, reason, expected_version, op), write=True)
        except StoreUnavailable:
            self._invariants.excuse(key, "a delete whose reply was lost")
            raise
        self._invariants.deleting(self._process, key, under_way=False)
        return None if taken is None else codec.decode(self._ring, key, *taken)

    async def put_end_reason(self, name: str, reason: EndReason) -> None:
        await self._ask(lambda: self._database.ends.__setitem__(name, reason), write=True)

    async def get_end_reason(self, name: str) -> EndReason | None:
        return await self._ask(lambda: self._database.ends.get(name), write=False)

    async def leave_value(self, name: str, value: bytes, until: float) -> None:
        """Which only a sign-out afterwards would take: no story of a refresh depends on it."""
        await self._ask(lambda: None, write=True, queue=True)

    async def _ask(self, apply: Callable[[], T], *, write: bool, queue: bool = False) -> T:
        plan = self._faults.store_operation(self._process.name, write=write, queue=queue)
        future: asyncio.Future[Any] = self._loop.create_future()
        replies: list[T] = []

        def at_the_store() -> None:
            if not self._database.down:
                replies.append(apply())

        def back() -> None:
            if future.done():
                return
            if replies and plan.answered:
                future.set_result(replies[-1])
            else:
                future.set_exception(StoreUnavailable(retry_after=1))

        for arrives_in in plan.arrivals:
            self._loop.outside(arrives_in, at_the_store)
        self._loop.outside(plan.back_in, back)
        return await future  # type: ignore[no-any-return]


class SimulatedRevocations:
    """The revocation queue over the same network. It outlives every replica."""

    def __init__(self, database: Database, ask: Callable[..., Any], process: Process) -> None:
        self._database, self._process = database, process
        # Whether anything is due is asked for all the time: with dice of its own, so that it changes no other story.
        self._ask = functools.partial(ask, queue=True)

    async def add(self, *revocations: Revocation) -> int:
        for revocation in revocations:
            with self._database.invariants.keeping(revocation.token, self._process):
                await self._ask(functools.partial(self._database.add_revocation, revocation), write=True)
        return len(revocations)

    async def claim(self, count: int, lease: float) -> Sequence[Revocation]:
        claimed: list[Revocation] = await self._ask(lambda: self._database.claim_revocations(count, lease), write=True)
        return claimed

    async def finish(self, revocation_id: str) -> None:
        await self._ask(lambda: self._database.queue.pop(revocation_id, None), write=True)

    async def postpone(self, revocation_id: str, seconds: float) -> None:
        await self._ask(lambda: self._database.postpone_revocation(revocation_id, seconds), write=True)

    async def waiting(self) -> int:
        return int(await self._ask(lambda: len(self._database.queue), write=False))
