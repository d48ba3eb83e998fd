"""What happens around the replicas: callers, the network, the clock, and the faults. `steps` is everything at once."""

from collections.abc import Iterator
from dataclasses import replace
from math import ceil

from bff.oidc.token import ClientProof, Denied, NoAnswer, Postponed, TokenResult
from tests.proof.explorer.provider import Provider, Sighting
from tests.proof.explorer.replica import acts, reads
from tests.proof.explorer.world import NAMES, Does, Replica, Request, Setting, Step, World, moved, revoke_all_of, told

BREAKDOWN_LASTS = 10  # seconds at most: twice as long as it takes to confirm a refusal


def steps(world: World, setting: Setting) -> Iterator[Step]:
    """Everything that can happen next. For invariant 10 the order matters: who can move comes before time passes."""
    if world.broken_since is not None:
        yield Step("provider", "the provider works again", world._replace(broken_since=None))
    for index, replica in enumerate(world.replicas):
        if not replica.paused:
            yield from acts(world, setting, index, replica)
        if replica.request is not None:
            yield from _network(world, setting, index, replica, replica.request)
    yield from _orphans(world, setting)
    if world.record is not None:
        for index, replica in enumerate(world.replicas):
            if replica.does is Does.IDLE and not replica.paused:
                yield from reads(world, setting, index, kind="caller")
    if _time_may_pass(world, setting):
        yield _time_passes(world)
    yield from _faults(world, setting)


def _network(world: World, setting: Setting, index: int, replica: Replica, request: Request) -> Iterator[Step]:
    name = NAMES[index]
    if request.answer is None:
        if world.now <= request.reach_by:
            provider, answer, sighting = _presented(world, setting, request)
            if replica.paused:  # the answer waits at the sleeper's socket
                waits = replica._replace(does=Does.SETTLE, request=None, answer=answer)
            else:
                waits = replica._replace(request=request._replace(answer=answer))
            story = f"the provider is given {request.token} by {name} and answers {told(answer)}"
            yield Step("provider", story, moved(world, index, waits)._replace(provider=provider), sighting=sighting)
    else:
        arrived = replica._replace(does=Does.SETTLE, request=None, answer=request.answer)
        yield Step("provider", f"{name} receives {told(request.answer)}", moved(world, index, arrived))
    if world.left.throttles and request.answer is None:
        busy = replica._replace(does=Does.SETTLE, request=None, answer=Postponed())
        left = world.left._replace(throttles=world.left.throttles - 1)
        yield Step("fault", f"{name}'s request is answered with 429", moved(world, index, busy)._replace(left=left))
    if world.left.losses:
        gone = replica._replace(does=Does.SETTLE, request=None, answer=NoAnswer(may_have_been_sent=True))
        after = moved(world, index, gone)
        left = world.left._replace(losses=world.left.losses - 1)
        what = "request" if request.answer is None else "answer"
        yield Step("fault", f"{name}'s {what} is lost", after._replace(left=left))
        if request.answer is None and world.left.stragglers:
            left = left._replace(stragglers=left.stragglers - 1)
            after = after._replace(left=left, orphans=(*world.orphans, request))
            yield Step("fault", f"{name} sees a reset, but its request travels on", after)


def _presented(world: World, setting: Setting, request: Request) -> tuple[Provider, TokenResult, Sighting | None]:
    """What the provider does with a request, and a refusal with what its sender knows of its client credentials."""
    provider, answer, sighting = world.provider, Denied(400, "invalid_request"), None
    if world.broken_since is None:
        provider, answer, sighting = world.provider.present(
            setting.behaviour, request.token, world.now, after_grace=request.after_grace
        )
    if isinstance(answer, Denied) and setting.others:
        others_granted_at = world.now if world.broken_since is None else world.broken_since
        answer = replace(answer, proof=ClientProof("client", max(0, request.sent_at - others_granted_at)))
    return provider, answer, sighting


def _orphans(world: World, setting: Setting) -> Iterator[Step]:
    for at, request in enumerate(world.orphans):
        rest = world.orphans[:at] + world.orphans[at + 1 :]
        after, answer, sighting = _presented(world, setting, request)
        story = f"the provider is given {request.token} and answers {told(answer)}, but nobody listens"
        yield Step("provider", story, world._replace(orphans=rest, provider=after), sighting=sighting)
        yield Step("loss", f"a request with {request.token} never reaches the provider", world._replace(orphans=rest))


def _time_may_pass(world: World, setting: Setting) -> bool:
    """Whoever is awake and can act does so first, and the network keeps its deadlines."""
    timeout = setting.policy.timeout
    if world.broken_since is not None and world.now >= world.broken_since + BREAKDOWN_LASTS:
        return False
    if any(world.now >= request.reach_by for request in world.orphans):
        return False
    for replica in world.replicas:
        request = replica.request
        if request is not None:
            if world.now >= (request.reach_by if request.answer is None else request.sent_at + timeout):
                return False
        elif not replica.paused and not _idles(world, replica):
            return False
    return True


def _time_passes(world: World) -> Step:
    """A second; or, while the token is fresh and nobody awake has anything to do, all the time until renewal is due."""
    record = world.record
    if record is not None and record.attempt is None and not world.orphans:
        due = ceil(record.tokens.refresh_at)
        quiet = all(each.does is Does.IDLE or (each.paused and each.request is None) for each in world.replicas)
        if quiet and due > world.now:
            return Step("time", "time passes until the renewal is due", world._replace(now=due))
    return Step("time", "a second passes", world._replace(now=world.now + 1))


def _idles(world: World, replica: Replica) -> bool:
    return replica.does is Does.IDLE or (replica.does is Does.REST and world.now < replica.until)


def _faults(world: World, setting: Setting) -> Iterator[Step]:
    left = world.left
    for index, replica in enumerate(world.replicas):
        name = NAMES[index]
        if replica.paused:
            yield Step("wake", f"{name} wakes up", moved(world, index, replica._replace(paused=False)))
        elif left.pauses and replica.does not in (Does.IDLE, Does.REST) and not _answered(replica):
            paused = moved(world, index, replica._replace(paused=True))
            after = paused._replace(left=left._replace(pauses=left.pauses - 1))
            yield Step("fault", f"{name} is paused as it {replica.does}", after)
        if left.crashes and replica.does is not Does.IDLE:
            crashed = moved(world, index, Replica())._replace(left=left._replace(crashes=left.crashes - 1))
            if replica.request is not None and replica.request.answer is None:
                crashed = crashed._replace(orphans=(*world.orphans, replica.request))
            yield Step("fault", f"{name} crashes as it {replica.does}, and starts again", crashed)
        if left.refusals and replica.does is Does.SEND and not replica.paused:
            rejected_token = replica._replace(does=Does.SETTLE, answer=NoAnswer(may_have_been_sent=False))
            after = moved(world, index, rejected_token)._replace(left=left._replace(refusals=left.refusals - 1))
            yield Step("fault", f"{name}'s connection is refused", after)
    if left.sign_outs and world.record is not None:
        after = world._replace(record=None, left=left._replace(sign_outs=left.sign_outs - 1))
        yield Step("fault", "the user signs out", after._replace(provider=revoke_all_of(world.provider, world.record)))
    if left.breakdowns and world.broken_since is None:
        after = world._replace(broken_since=world.now, left=left._replace(breakdowns=left.breakdowns - 1))
        yield Step("fault", "the provider breaks down, and refuses everybody", after)
    if left.revocations:
        after = world._replace(provider=world.provider.revoke_all())
        after = after._replace(left=left._replace(revocations=left.revocations - 1))
        yield Step("fault", "the provider revokes the family", after)


def _answered(replica: Replica) -> bool:
    """A pause now is a pause right after the answer has arrived."""
    return replica.request is not None and replica.request.answer is not None
