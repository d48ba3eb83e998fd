"""The world of one seed: replicas behind a load balancer, people with browsers, and what happens to them."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

from bff.base64url import encode_base64url
from bff.config.api_tokens import ExchangeToken
from bff.errors import ProviderUnavailable, SignInRequired, StoreUnavailable
from bff.flows.api_tokens.refusal import ApiTokenRefused
from bff.flows.refresh.flow import SessionAt
from bff.oidc.token import TokenResponse
from bff.session.keyring import KeyRing
from bff.session.session import EndReason, Session, SessionKey, User
from bff.session.timing import new_tokens, token_fingerprint
from bff.storage import codec
from demo.simulator.grants import SignIn
from tests.proof.simulation.database import Database
from tests.proof.simulation.faults import Faults
from tests.proof.simulation.invariants import Invariants, InvariantViolated
from tests.proof.simulation.loop import Process, SimulatedLoop
from tests.proof.simulation.provider import CLIENT_ID, ISSUER, TokenEndpoint, id_token
from tests.proof.simulation.replica import Replica
from tests.proof.simulation.scenario import draw
from tests.proof.simulation.sqlite_database import SqliteDatabase, SqliteFile
from tests.proof.simulation.trace import Trace

MOST_WAIT = 25.0  # seconds for the token of an API: the deadline of callers, and a slow store
SETTLES_TIMEOUT = 75.0  # seconds after the last fault: a lease, the longest back-off, the longest Retry-After
CALM = 70.0  # seconds of invariant 10, longer than most access tokens live


class World:
    def __init__(self, seed: int, *, sqlite: Path | None = None, audiences: tuple[str, ...] = (), **fixed: Any) -> None:
        """With `sqlite` the replicas are workers of one machine, which share this database file.

        With `audiences` each request also needs a token for one of them.
        """
        self.audiences = [ExchangeToken(audience=audience, client="service") for audience in audiences]
        self.random = Random(seed)
        self.scenario = scenario = draw(seed, self.random, **fixed)
        self.loop = SimulatedLoop()
        self.trace = Trace()
        self.invariants = Invariants(self.loop, scenario, self.trace)
        self.faults = Faults(self.loop, scenario, self.random)
        self.endpoint = self.invariants.endpoint = TokenEndpoint(scenario, self.loop, self.invariants)
        self.keys = [hashlib.sha256(f"{seed}-{number}".encode()).digest() for number in range(3)]
        self.file = None if sqlite is None else SqliteFile(sqlite, KeyRing.from_keys(self.keys))
        self.database = (
            Database(self.loop, self.invariants)
            if self.file is None
            else SqliteDatabase(self.loop, self.invariants, file=self.file)
        )
        self.rings: list[list[bytes]] = [self.keys[:1] for _ in range(scenario.replicas)]
        self.replicas: list[Replica] = []
        self.people: list[Person] = []
        self._started = 0
        self._aimed: list[asyncio.Task[None]] = []
        self.invariants.at_a_moment = self._at_a_moment
        self._seed = seed

    def run(self) -> None:
        """Raises InvariantViolated, Deadlock or HotLoop. The trace and the counts stay behind."""
        logs = _Captured()
        logger = logging.getLogger("bff")
        level, propagate = logger.level, logger.propagate
        logger.addHandler(logs)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        try:
            self.loop.run_until_complete(self._story())
            self._check_logs(logs.records)
        finally:
            logger.removeHandler(logs)
            logger.setLevel(level)
            logger.propagate = propagate
            self.invariants.violation = None
            self.loop.bury()
            if self.file is not None:
                self.file.close()

    def story(self, error: Exception | None = None) -> str:
        """What happened, told so that it can be understood without the code, and how to see it again."""
        session = error.session if isinstance(error, InvariantViolated) else ""
        again = f"python -m tests.proof.simulation {self._seed}"
        return f"{self.trace.tell(session)}\n\nseed {self._seed}: {self.scenario}\n{error!r}\n{again}"

    def replica(self) -> Replica | None:
        """Where the load balancer sends a request: a stopped process still gets some."""
        open_for_all = [each for each in self.replicas if not each.process.dead and not each.process.draining]
        return self.random.choice(open_for_all) if open_for_all else None

    def sign_in(self, name: str, sub: str) -> SessionKey:
        key = SessionKey(encode_base64url(hashlib.sha256(f"{self._seed} {name}".encode()).digest()))
        now = self.database.now()
        issued = self.endpoint.families.sign_in(SignIn(sub, CLIENT_ID, sid=name), now)
        life = self.scenario.provider.access_token_lifetime
        compact = id_token(sub) if issued.id_token else None
        response = TokenResponse(issued.access_token, life, issued.refresh_token, compact)
        tokens = new_tokens(response, key, now, now, self.scenario.policy.before_expiry)
        assert tokens is not None
        session = Session(
            key=key,
            version=1,
            rotation=0,
            issuer=ISSUER,
            client_id=CLIENT_ID,
            user=User(sub),
            tokens=tokens,
            signed_in_at=now,
            ends_at=now + self.scenario.absolute_timeout,
            browser=f"browser of {name}" if self.random.random() < 0.5 else None,
        )
        self.endpoint.session_of[issued.access_token] = name
        self.invariants.signed_in(session, issued, name)
        encoded = codec.encode(KeyRing.from_keys(self.rings[0]), session)
        self.database.create(session, encoded.write_id, encoded.record)
        self.trace.add(self.loop.time(), name, "signs in", name)
        return key

    async def _story(self) -> None:
        self.invariants.violation = self.loop.create_future()
        for number in range(self.scenario.replicas):
            self.replicas.append(self._new_replica(number))
        shared = self.scenario.provider.family_scope == "user_and_client"
        for number in range(self.scenario.sessions):
            self.people.append(Person(self, f"s{number:02}", f"user{number // 2 if shared else number}"))
        tasks = [self.loop.create_task(person.live()) for person in self.people]
        tasks += [self.loop.create_task(self._happens(name)) for name in self.scenario.every]
        last = self.loop.create_task(self._course())
        await asyncio.wait([self.invariants.violation, last], return_when=asyncio.FIRST_COMPLETED)
        for task in [last, *tasks, *self._aimed]:
            if task.done():
                task.result()
        if self.invariants.violation.done():
            self.invariants.violation.result()

    async def _course(self) -> None:
        await asyncio.sleep(self.scenario.stormy_for)
        self.faults.clear()
        for person in self.people:
            self.endpoint.families.assign(person.sub)
        for replica in self.replicas:
            replica.process.resume(self.loop)
        self.trace.add(self.loop.time(), "world", "all faults are over")
        await asyncio.sleep(SETTLES_TIMEOUT)
        self.invariants.calm_since = self.loop.time()
        self.trace.add(self.loop.time(), "world", "from here on nobody may be turned away")
        await asyncio.sleep(CALM)
        for person in self.people:
            person.leaves()
            for _ in self.replicas:
                await person.asks_now()
        await asyncio.sleep(20.0)
        for person in self.people:
            if unanswered := person.unanswered():
                self.invariants.broken("invariant 8", f"{unanswered} callers were never answered", person.key)
        self.invariants.left_behind()
        for defect in self.loop.defects:
            self.invariants.broken("no defect", defect)

    async def _happens(self, what: str) -> None:
        actions: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "crash": self._crash,
            "pause": self._pause,
            "drain": self._drain,
            "partition": self._partition,
            "failover": self._fail_over,
            "outage": self._outage,
            "invalid_client": self._invalid_client,
            "breakdown": self._break_down,
            "unassigned": self._unassign,
            "revoked_by_administrator": self._revoke,
            "sign_out": self._sign_out,
            "key_roll": self._roll_keys,
        }
        while True:
            await asyncio.sleep(self.random.expovariate(1 / self.scenario.every[what]))
            if not self.faults.stormy:
                return
            await actions[what]()

    def _at_a_moment(self, process: Process, key: SessionKey) -> None:
        """Faults that come at random times seldom hit a refresh: some are aimed at one, within 0.1 ms to 10 s."""
        aimed = sorted({"crash", "pause", "drain", "failover", "sign_out", "partition"} & set(self.scenario.every))
        if not aimed or not self.faults.stormy or self.random.random() > self.scenario.aimed:
            return
        what = self.random.choice(aimed)
        delay = 10 ** self.random.uniform(-4, 1)
        self.loop.outside(delay, lambda: self._aim(what, process, key))

    def _aim(self, what: str, process: Process, key: SessionKey) -> None:
        if not self.faults.stormy:
            return
        replica = next((each for each in self.replicas if each.process is process), None)
        person = next((each for each in self.people if each.key == key), None)
        work: Coroutine[Any, Any, None] | None = None
        if what == "failover":
            work = self._fail_over()
        elif what == "sign_out":
            work = person.signs_out() if person else None
        elif replica is not None:
            of_replica = {
                "crash": self._crash,
                "pause": self._pause,
                "drain": self._drain,
                "partition": self._partition,
            }
            work = of_replica[what](replica)
        if work is not None:
            self._aimed.append(self.loop.create_task(work))

    def _new_replica(self, number: int) -> Replica:
        ring = KeyRing.from_keys(self.rings[number])
        self._started += 1
        name = f"r{number}.{self._started}"
        return Replica(
            name, self.database, self.endpoint, ring, self.faults, self.scenario, self.invariants, self.random
        )

    def _say(self, what: str) -> None:
        self.invariants.counts[what.split(" ", 1)[1] if " " in what else what] += 1
        self.trace.add(self.loop.time(), "world", what)

    async def _succeed(self, replica: Replica) -> None:
        await asyncio.sleep(self.random.uniform(0.0, 8.0))
        number = int(replica.process.name[1])
        self.replicas[self.replicas.index(replica)] = self._new_replica(number)

    async def _crash(self, replica: Replica | None = None) -> None:
        replica = replica or self.random.choice(self.replicas)
        if replica.process.dead or replica.process.draining:
            return
        self._say(f"{replica.process.name} crashes")
        replica.crash()
        await self._succeed(replica)

    async def _pause(self, replica: Replica | None = None) -> None:
        replica = replica or self.random.choice(self.replicas)
        if replica.process.dead or not replica.process.running:
            return
        self._say(f"{replica.process.name} is stopped")
        replica.process.stop(self.loop.time())
        await asyncio.sleep(self.random.choice([0.5, 2.5, 9.0, 12.0, 25.0]) * self.random.uniform(0.8, 1.2))
        self.trace.add(self.loop.time(), "world", f"{replica.process.name} goes on")
        replica.process.resume(self.loop)

    async def _drain(self, replica: Replica | None = None) -> None:
        replica = replica or self.random.choice(self.replicas)
        if replica.process.dead or replica.process.draining or not replica.process.running:
            return
        self._say(f"{replica.process.name} drains")
        await replica.drain()
        await self._succeed(replica)

    async def _partition(self, replica: Replica | None = None) -> None:
        replica = replica or self.random.choice(self.replicas)
        self._say(f"{replica.process.name} is partitioned")
        self.faults.partitioned[replica.process.name] = self.loop.time() + self.random.uniform(0.5, 15.0)

    async def _fail_over(self) -> None:
        self._say("the store fails over")
        self.database.fail_over(self.random.uniform(0.0, 2.0), self.random.uniform(0.2, 3.0))

    async def _outage(self) -> None:
        self.faults.outage_kind = self.random.choice(["refusing", "stalling"])
        self._say(f"provider {self.faults.outage_kind}")
        self.faults.outage_until = self.loop.time() + self.random.uniform(2.0, 50.0)

    async def _invalid_client(self) -> None:
        self._say("provider refuses the client")
        self.faults.invalid_client_until = self.loop.time() + self.random.uniform(2.0, 60.0)

    async def _break_down(self) -> None:
        self._say("provider refuses everybody")
        self.faults.breakdown_until = self.loop.time() + self.random.choice([5.0, 40.0, 100.0])

    async def _unassign(self) -> None:
        person = self.random.choice(self.people)
        self._say(f"{person.name} is unassigned")
        self.endpoint.families.unassign(person.sub)
        await asyncio.sleep(self.random.choice([20.0, 90.0]))
        self.endpoint.families.assign(person.sub)

    async def _revoke(self) -> None:
        person = self.random.choice(self.people)
        self._say(f"{person.name} is revoked by the administrator")
        self.endpoint.families.revoke_user(person.sub)
        for other in self.people:
            if other.sub == person.sub:
                self.invariants.excuse(other.key, "the administrator")

    async def _sign_out(self) -> None:
        await self.random.choice(self.people).signs_out()

    async def _roll_keys(self) -> None:
        """[old] -> [old, new] -> [new, old], replica by replica; the old key stays until the end."""
        for ring in (self.keys[:2], self.keys[1::-1]):
            for number in range(self.scenario.replicas):
                self.rings[number] = ring
                for replica in self.replicas:
                    if int(replica.process.name[1]) == number:
                        replica.ring.replace_keys(ring)
                await asyncio.sleep(self.random.uniform(0, 3))
        self._say("the keys are rolled")

    def _check_logs(self, records: list[str]) -> None:
        text = "\n".join(records)
        self.invariants.counts["log records"] += len(records)
        self.invariants.counts["writes reasserted"] += sum(
            record.startswith("the store had lost") for record in records
        )
        for secret in ["canary", "eyJ", *self.invariants.sessions]:
            if secret in text:
                raise InvariantViolated("invariant 11", f"{secret[:6]}... is in the log")


class _Captured(logging.Handler):
    """Every record with everything that hangs on it."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(f"{record.getMessage()} {record.__dict__}")


class Person:
    """A browser with one session at a time; signs in again when that has ended."""

    def __init__(self, world: World, name: str, sub: str) -> None:
        self._world, self.name, self.sub = world, name, sub
        self._sign_ins = 0
        self._left = False
        self._access_token = ""
        self._requests: list[tuple[asyncio.Task[None], Replica]] = []
        self.key = self._sign_in()

    def leaves(self) -> None:
        self._left = True

    async def live(self) -> None:
        world, random = self._world, self._world.random
        while not self._left:
            pause = random.expovariate(1 / world.scenario.mean_pause)
            if random.random() < 0.03:
                pause = random.uniform(30.0, 150.0)  # the tab sleeps
            await asyncio.sleep(pause)
            if self._left:
                return
            watched = world.invariants.sessions[self.key]
            if watched.ended_at is not None and world.loop.time() > watched.ended_at + 5.0 and world.faults.stormy:
                self.key = self._sign_in()
            for _ in range(random.randint(3, 12) if random.random() < 0.1 else 1):
                self._ask()

    async def asks_now(self) -> None:
        self._ask()
        await asyncio.sleep(0.5)

    async def signs_out(self) -> None:
        world = self._world
        replica = world.replica()
        watched = world.invariants.sessions[self.key]
        if replica is None or watched.ended_at is not None:
            return
        watched.sign_out_asked = True
        world.invariants.counts["sign-outs"] += 1
        world.trace.add(world.loop.time(), self.name, f"signs out at {replica.process.name}", watched.name)
        task = replica.run(self._sign_out(replica, self.key))
        if world.random.random() < 0.2 and not world.scenario.faultless:
            world.loop.outside(world.random.uniform(0, 0.01), lambda: self._hangs_up(task))

    def unanswered(self) -> int:
        """How many requests are still without an answer, though their process lives."""
        return sum(not task.done() and not replica.process.dead for task, replica in self._requests)

    def _hangs_up(self, task: "asyncio.Task[None]") -> None:
        if not task.done():
            self._world.invariants.counts["hang-ups"] += 1
            self._world.trace.add(self._world.loop.time(), self.name, "hangs up", self.name)
            task.cancel()

    async def _sign_out(self, replica: Replica, key: SessionKey) -> None:
        try:
            await replica.end_session.end(key, EndReason.SIGNED_OUT)
        except StoreUnavailable:
            self._world.invariants.counts["sign-outs told to come back"] += 1

    def _sign_in(self) -> SessionKey:
        self._sign_ins += 1
        self._access_token = ""
        return self._world.sign_in(f"{self.name}{'abcdefghijklmnopqrstuvwxyz'[min(self._sign_ins - 1, 25)]}", self.sub)

    def _ask(self) -> None:
        world, random = self._world, self._world.random
        replica = world.replica()
        if replica is None:
            return
        rejected_token = None
        if self._access_token and random.random() < 0.03:
            rejected_token = token_fingerprint(self._access_token)
        task = replica.run(self._request(replica, self.key, rejected_token, passive=random.random() < 0.1))
        self._requests.append((task, replica))
        if random.random() < 0.05:
            world.loop.outside(random.choice([0.0005, 0.01, 0.1, 3.0]), lambda: self._hangs_up(task))

    async def _request(self, replica: Replica, key: SessionKey, rejected_token: str | None, *, passive: bool) -> None:
        invariants, loop = self._world.invariants, self._world.loop
        asked_at, stopped_for = loop.time(), replica.process.stopped_for
        at: SessionAt | None = None
        try:
            at = await replica.flow.session_at(key, rejected_token=rejected_token, passive=passive)
            session = at.session
        except SignInRequired:
            invariants.sign_in_required(key)
        except (ProviderUnavailable, StoreUnavailable) as error:
            invariants.turned_away(key, asked_at, error)
        else:
            invariants.handed_out(session, key, asked_at, passive=passive)
            if key == self.key:
                self._access_token = session.tokens.access_token
        invariants.waited(key, loop.time() - asked_at - (replica.process.stopped_for - stopped_for))
        if at is not None and self._world.audiences:
            await self._call_api(replica, at)

    async def _call_api(self, replica: Replica, at: SessionAt) -> None:
        """With an exchanged token: of this session, for this audience, and not expired."""
        world, loop = self._world, self._world.loop
        token, asked_at = world.endpoint.exchanges.choice(world.audiences), loop.time()
        stopped_for = replica.process.stopped_for
        try:
            access = await replica.audiences.access(at, token)
        except (SignInRequired, ProviderUnavailable, StoreUnavailable, ApiTokenRefused) as error:
            world.invariants.counts[f"no token for an API: {error.code}"] += 1
        else:
            world.invariants.counts["exchanged tokens handed out"] += 1
            name = world.invariants.sessions[at.session.key].name
            if world.endpoint.exchanged[access.access_token] != (name, token.audience):
                world.invariants.broken("invariant 7", "a token of another session or audience", at.session.key)
        waited = loop.time() - asked_at - (replica.process.stopped_for - stopped_for)
        if waited > MOST_WAIT:
            world.invariants.broken("invariant 8", f"a caller waited {waited:.1f} s for a token", at.session.key)
