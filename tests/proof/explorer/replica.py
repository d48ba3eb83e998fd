"""What a replica does, step by step, as `bff.flows.refresh.attempt` does it: read, reserve, send, judge, write."""

from collections.abc import Iterator
from math import ceil

from bff.oidc.token import Granted, NoAnswer
from bff.session.rotation import SendRefresh, SignInAgain
from bff.session.session import Session
from bff.session.timing import RESEND_MARGIN, inside_grace
from bff.session.token_response import Ended, Pending, Renewed, Superseded
from tests.harness.policy import Policy
from tests.proof.explorer.core import Answered
from tests.proof.explorer.world import NAMES, Does, Replica, Request, Setting, Step, World, moved, revoke_all_of, told


def acts(world: World, setting: Setting, index: int, replica: Replica) -> Iterator[Step]:
    match replica.does:
        case Does.ASK:
            yield from reads(world, setting, index, kind="replica", resend_of=replica.resend_of)
        case Does.REST if world.now >= replica.until:
            yield from reads(world, setting, index, kind="replica")
        case Does.RESERVE:
            yield _reserves(world, setting, index, replica)
        case Does.SEND:
            yield _sends(world, setting, index, replica)
        case Does.SETTLE:
            yield _settles(world, setting, index, replica)
        case Does.WRITE:
            yield _writes(world, setting, index, replica)
        case _:
            pass  # idle, resting, or waiting for the network


def reads(world: World, setting: Setting, index: int, *, kind: str, resend_of: str | None = None) -> Iterator[Step]:
    record, name = world.record, NAMES[index]
    if record is None:
        yield Step(kind, f"{name} finds no session", moved(world, index, Replica()))
        return
    decision = setting.core.decide(record, world.now, setting.policy, resend_of=resend_of)
    match decision:
        case SendRefresh(after_grace):
            attempt_id = f"{name}{record.version}"
            reserved = setting.core.reserve(record, decision, world.now, setting.policy, attempt_id)
            if record.attempt is None or record.attempt.attempt_id != resend_of:
                resend_of = None
            replica = Replica(Does.RESERVE, read=record.version, reserved=reserved, resend_of=resend_of)
            how = " late" if after_grace else " again" if reserved.attempt and reserved.attempt.tries > 1 else ""
            story = f"{name} reads version {record.version} and decides to send {reserved.tokens.refresh_token}{how}"
            yield Step(kind, story, moved(world, index, replica))
        case SignInAgain(reason):
            ended = world._replace(record=None, provider=revoke_all_of(world.provider, record))
            yield Step(kind, f"{name} ends the session: {reason}", moved(ended, index, Replica()), ended=reason)
        case _ if kind != "caller":
            yield Step(kind, f"{name} reads version {record.version}: {decision}", moved(world, index, Replica()))


def _reserves(world: World, setting: Setting, index: int, replica: Replica) -> Step:
    record, reserved, name = world.record, replica.reserved, NAMES[index]
    assert reserved is not None
    if record is None or not setting.core.may_write(record, replica.read):
        again = Replica(Does.ASK, resend_of=replica.resend_of)
        return Step("replica", f"{name}'s reservation is refused", moved(world, index, again))
    facts = []
    attempt, before = reserved.attempt, record.attempt
    assert attempt is not None
    if before is not None and before.lease_until > before.not_before:
        facts.append("takeover")
    if attempt.after_grace:
        facts.append("late send")
    elif attempt.previous_first_sent_at is not None:
        facts.append("resend in grace")
    if reserved.rotation > record.rotation:
        facts.append("alternate promoted by decide")
    written = world._replace(record=reserved) if setting.core.writes_before_sending else world
    story = f"{name} writes its reservation, version {reserved.version}"
    after = moved(written, index, replica._replace(does=Does.SEND))
    return Step("replica", story, after, tuple(facts), written_onto=replica.read, reserved=reserved)


def _sends(world: World, setting: Setting, index: int, replica: Replica) -> Step:
    reserved, name = replica.reserved, NAMES[index]
    assert reserved is not None
    assert reserved.attempt is not None
    assert reserved.tokens.refresh_token is not None
    if not setting.core.may_send(reserved.attempt, world.now, setting.policy):
        after = replica._replace(does=Does.SETTLE, answer=NoAnswer(may_have_been_sent=False))
        return Step("replica", f"{name} is too late to send", moved(world, index, after), ("not sent",))
    # The one assumption about speed: a quick resend reaches the provider within the margin that was left for it.
    hurried = replica.resend_of is not None and reserved.attempt.previous_first_sent_at is not None
    within = RESEND_MARGIN if hurried else setting.policy.timeout
    token = reserved.tokens.refresh_token
    request = Request(token, world.now, world.now + int(within), reserved.attempt.after_grace)
    after = replica._replace(does=Does.AWAIT, request=request)
    return Step("replica", f"{name} sends {token}", moved(world, index, after), sent=request)


def _settles(world: World, setting: Setting, index: int, replica: Replica) -> Step:
    record, reserved, answer, name = world.record, replica.reserved, replica.answer, NAMES[index]
    assert reserved is not None
    assert answer is not None
    given = answer.tokens.refresh_token if isinstance(answer, Granted) else None
    if record is None:
        if given is None or not setting.core.revokes_for_a_deleted_session:
            return Step("replica", f"{name} finds the session gone", moved(world, index, Replica()))
        after = moved(world, index, Replica())._replace(provider=world.provider.revoke(given))
        return Step("replica", f"{name} finds the session gone and revokes {given}", after, ("unplaceable revoked",))
    result = setting.core.settle(Answered(record, reserved, answer, world.now, setting.policy))
    if isinstance(result, Superseded) and result.session is None:
        provider, revoked = world.provider.brought_home(given), None
        if given is not None and setting.core.revokes_what_is_not_ours:
            provider, revoked = provider.revoke(given), given
        after = moved(world, index, Replica())._replace(provider=provider)
        return Step("replica", f"{name} sees that others went on", after, ("not ours",), revoked=revoked)
    judged = replica._replace(does=Does.WRITE, read=record.version, result=result)
    story = f"{name} judges {told(answer)} against version {record.version}: {type(result).__name__}"
    return Step("replica", story, moved(world, index, judged))


def _writes(world: World, setting: Setting, index: int, replica: Replica) -> Step:
    record, reserved, result, name = world.record, replica.reserved, replica.result, NAMES[index]
    assert reserved is not None
    assert result is not None
    deletes = isinstance(result, Ended)
    allowed = setting.core.may_delete if deletes else setting.core.may_write
    if record is None or not allowed(record, replica.read):
        again = replica._replace(does=Does.SETTLE, result=None)
        return Step("replica", f"{name}'s write is refused", moved(world, index, again))
    if isinstance(result, Ended):
        ended = world._replace(record=None, provider=revoke_all_of(world.provider, record))
        story = f"{name} ends the session: {result.reason}"
        return Step("replica", story, moved(ended, index, Replica()), ("ended",), ended=result.reason)
    written = result.session
    assert written is not None
    after, facts = world._replace(record=written), []
    if isinstance(replica.answer, Granted):
        after = after._replace(provider=world.provider.brought_home(replica.answer.tokens.refresh_token))
    next_ = Replica()
    match result:
        case Renewed():
            attempt = reserved.attempt
            facts.append("renewed")
            if attempt and attempt.after_grace:
                facts.append("renewed late")
            elif attempt and attempt.previous_first_sent_at is not None:
                facts.append("renewed by a replay in the grace")
        case Superseded():
            facts.append("alternate kept")
        case Pending(_, resend):
            if written.rotation > record.rotation:
                facts.append("alternate promoted by settle")
            next_ = _goes_on(written, setting.policy, resend=resend)
            facts.append("quick resend" if resend else "unknown")
    story = f"{name} writes version {written.version}: {type(result).__name__} with {written.tokens.refresh_token}"
    return Step("replica", story, moved(after, index, next_), tuple(facts), written_onto=replica.read)


def _goes_on(written: Session, policy: Policy, *, resend: bool) -> Replica:
    """The holder of an unknown outcome does not wait for the next caller while the grace runs."""
    attempt = written.attempt
    if resend:
        return Replica(Does.ASK, resend_of=attempt.attempt_id if attempt else None)
    if attempt is None or attempt.first_sent_at is None or not inside_grace(attempt, attempt.not_before, policy):
        return Replica()
    return Replica(Does.REST, until=ceil(attempt.not_before))
