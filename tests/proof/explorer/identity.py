"""When two worlds are the same: times count from now, tokens by age, versions by whether they still match."""

import marshal
from collections.abc import Iterator
from math import ceil
from typing import Any

from bff.oidc.token import Denied, Granted, TokenResult
from bff.session.audience_tokens import entry, resource_name
from bff.session.session import RefreshAttempt, Session
from bff.session.token_response import RefreshResult
from tests.proof.explorer.core import RESOURCE
from tests.proof.explorer.provider import LIFE
from tests.proof.explorer.world import Does, Replica, Request, Setting, World

NEVER = 10_000  # stands for None among times


def forget(world: World, setting: Setting) -> World:
    """The world without what can have no effect any more: spent replicas, and tokens that nobody can name."""
    if any(_is_spent(world, setting, each) for each in world.replicas):
        replicas = tuple(Replica() if _is_spent(world, setting, each) else each for each in world.replicas)
        world = world._replace(replicas=replicas)
    kept = world.provider.keep(set(names(world)))
    return world if kept is world.provider else world._replace(provider=kept)


def _is_spent(world: World, setting: Setting, replica: Replica) -> bool:
    """A sleeper that will find, whenever it wakes, that others went on: awake and idle it can do all that and more."""
    record, reserved = world.record, replica.reserved
    if not replica.paused or reserved is None or reserved.attempt is None:
        return False
    core, given = setting.core, replica.answer
    if replica.does is Does.RESERVE:
        return replica.resend_of is None and (record is None or not core.may_write(record, replica.read))
    if record is not None and record.attempt is not None and record.attempt.attempt_id == reserved.attempt.attempt_id:
        return False
    match replica.does:
        case Does.SEND:
            return not core.may_send(reserved.attempt, world.now, setting.policy)
        case Does.SETTLE | Does.WRITE:
            if replica.does is Does.WRITE and record is not None and core.may_write(record, replica.read):
                return False
            if not isinstance(given, Granted):
                return True
            token = world.provider.find(given.tokens.refresh_token)
            passed = record is None or record.rotation > reserved.rotation + 1
            return passed and (token is None or token.status != "live")
        case _:
            return False


def identity(world: World, setting: Setting) -> bytes:
    return _Identity(world, setting).of_world()


def _bytes(value: Any) -> bytes:
    return marshal.dumps(value, 2)  # format 2 has no back references: equal values have equal bytes


class _Identity:
    def __init__(self, world: World, setting: Setting) -> None:
        self.world, self.setting, self.now = world, setting, world.now
        self.long_ago = -(LIFE + setting.behaviour.grace + setting.policy.lease + setting.policy.confirm_refusal_after)
        # Names are "r" and a number.
        oldest_first = sorted([token.name for token in world.provider.tokens], key=lambda name: (len(name), name))
        self.rank: dict[str | None, int] = {name: rank for rank, name in enumerate(oldest_first)}
        self.rank[None] = -1

    def of_world(self) -> bytes:
        world = self.world
        replicas = sorted(_bytes(self.of_replica(each)) for each in world.replicas)  # replicas are alike
        orphans = sorted(self.of_request(each) for each in world.orphans)
        tokens = [
            (
                token.status,
                self.ago(token.retired_at, -self.setting.behaviour.grace - 1),
                self.rank.get(token.successor, -2),
                self.ago(token.access_until, 0),
                token.home,
                token.again,
            )
            if token.status == "retired"
            else (token.status, token.home, token.again)
            for token in sorted(world.provider.tokens, key=lambda token: self.rank[token.name])
        ]
        whole = (self.of_session(world.record), replicas, orphans, tokens, self.ago(world.broken_since, self.long_ago))
        return _bytes(whole)

    def ago(self, moment: float | None, floor: float) -> int:
        return NEVER if moment is None else int(max(ceil(moment - self.now), floor))

    def of_session(self, session: Session | None) -> tuple[object, ...]:
        if session is None:
            return ()
        tokens, concurrent_successor, record = session.tokens, session.concurrent_successor, self.world.record
        return (
            session.rotation - record.rotation if record else 0,
            self.rank.get(tokens.refresh_token, -2),
            self.ago(tokens.usable_until, 0),
            self.ago(tokens.refresh_at, 0),
            self.ago(int(tokens.access_token[1:]), 0),
            self.of_attempt(session.attempt),
            (
                self.rank.get(concurrent_successor.refresh_token, -2),
                max(concurrent_successor.rotation - session.rotation, -2),
                concurrent_successor.tries,
            )
            if concurrent_successor
            else (),
            self.of_resource(session) if session.audience_tokens else (),
        )

    def of_resource(self, session: Session) -> tuple[object, ...]:
        kept = entry(session, resource_name(RESOURCE))
        times = (kept.usable_until, kept.refresh_at, kept.not_before)
        return (kept.access_token is not None, kept.tries, *(self.ago(time, 0) for time in times))

    def of_attempt(self, attempt: RefreshAttempt | None) -> tuple[object, ...]:
        if attempt is None:
            return ()
        reserved = [replica.reserved.attempt for replica in self.world.replicas if replica.reserved]
        held = any(ours is not None and ours.attempt_id == attempt.attempt_id for ours in reserved)
        # Nobody will settle an attempt that nobody holds: of its past only the lease and the grace are looked at.
        past = self.long_ago if held else -(self.setting.behaviour.grace + 1)
        return (
            attempt.tries,
            self.ago(attempt.first_sent_at, past),
            self.ago(attempt.lease_until, past if held else 0),
            self.ago(attempt.not_before, 0),
            self.ago(attempt.previous_first_sent_at, past) if held else (),
            attempt.after_grace if held else (),
            self.ago(attempt.refused_at, self.long_ago),
            attempt.refused_with,
            attempt.resource is not None,
        )

    def of_replica(self, replica: Replica) -> tuple[object, ...]:
        record, core = self.world.record, self.setting.core
        if replica.does is Does.IDLE:
            return ()
        theirs = record.attempt if record else None
        may_resend = theirs is not None and theirs.attempt_id == replica.resend_of
        known: tuple[object, ...] = (replica.does.value, replica.paused, replica.resend_of is not None, may_resend)
        if replica.does is Does.REST:
            known += (self.ago(replica.until, 0),)
        if replica.request is not None:
            known += self.of_request(replica.request)
        if replica.answer is not None:
            known += self.of_answer(replica.answer)
        if record is None or replica.reserved is None:
            return known
        ours = replica.reserved.attempt
        if replica.does is Does.RESERVE:
            fresh = core.may_write(record, replica.read)
            return (*known, self.of_session(replica.reserved) if fresh else "stale")
        mine = ours is not None and theirs is not None and ours.attempt_id == theirs.attempt_id
        behind = max(replica.reserved.rotation - record.rotation, -2)
        known += (mine, self.rank.get(replica.reserved.tokens.refresh_token, -2), behind, ours.tries if ours else 0)
        if replica.does is Does.SEND and ours is not None:
            known += (self.of_attempt(ours) if core.may_send(ours, self.now, self.setting.policy) else "too late",)
        if replica.does is Does.WRITE:
            fresh = core.may_write(record, replica.read) or core.may_delete(record, replica.read)
            known += (self.of_result(replica.result) if fresh else "stale",)
        return known

    def of_result(self, result: RefreshResult | None) -> tuple[object, ...]:
        session = getattr(result, "session", None)
        return (type(result).__name__, getattr(result, "resend", False), self.of_session(session))

    def of_request(self, request: Request) -> tuple[object, ...]:
        window = self.setting.policy.timeout
        answer = self.of_answer(request.answer) if request.answer else ()
        return (
            self.rank[request.token],
            self.ago(request.sent_at, -window),
            0 if request.answer else self.ago(request.reach_by, 0),
            request.after_grace,
            answer,
        )

    def of_answer(self, answer: TokenResult) -> tuple[object, ...]:
        match answer:
            case Granted(tokens):
                assert tokens.access_token is not None
                return (self.rank.get(tokens.refresh_token, -2), self.ago(int(tokens.access_token[1:]), 0))
            case Denied(status, error, proof=proof):
                # Of an old grant no more is looked at than that it is older than the first refusal.
                ago = NEVER if proof is None or proof.granted_ago is None else int(proof.granted_ago)
                return (status, error, min(ago, -self.long_ago))
            case _:
                return (repr(answer),)


def names(world: World) -> Iterator[str | None]:
    """Every refresh token that the record, a replica or a message holds."""
    sessions = [world.record] if world.record else []
    for replica in world.replicas:
        if replica.reserved is not None:
            sessions.append(replica.reserved)
        session = getattr(replica.result, "session", None)
        if session is not None:
            sessions.append(session)
        for answer in (replica.answer, replica.request.answer if replica.request else None):
            if isinstance(answer, Granted):
                yield answer.tokens.refresh_token
        if replica.request is not None:
            yield replica.request.token
    for session in sessions:
        yield session.tokens.refresh_token
        if session.concurrent_successor is not None:
            yield session.concurrent_successor.refresh_token
    for request in world.orphans:
        yield request.token
