"""The invariants of `bff.session.rotation`, as questions about one step: None, or what was violated."""

from collections.abc import Callable, Iterator

from bff.session.rotation import AwaitRefresh, RetryLater, UseAccessToken
from bff.session.session import EndReason
from bff.session.timing import MAX_BACKOFF
from tests.proof.explorer.identity import names
from tests.proof.explorer.world import Budget, Request, Setting, Step, World


def invariant_1_no_old_token(before: World, step: Step, setting: Setting) -> str | None:
    """Never a token older than the previous one, nor the previous one after the grace unless that was marked late."""
    seen = step.sighting
    if seen is None or seen.token.again:  # what the provider handed back itself is its present token to us
        return None
    if seen.older:
        return f"{seen.token.name} was presented although its successor had been used"
    if seen.reuse and not seen.after_grace:
        return f"{seen.token.name} was presented after its grace and the send was not marked late"
    return None


def invariant_1_late_is_the_last_resort(before: World, step: Step, setting: Setting) -> str | None:
    """A late send risks the family: never while a successor is at home, nor with a token that never left."""
    attempt = step.reserved.attempt if step.reserved else None
    if step.reserved is None or attempt is None or not attempt.after_grace:
        return None
    token = step.reserved.tokens.refresh_token
    better = [each for each in before.provider.live() if each.home and int(each.name[1:]) > int((token or "r0")[1:])]
    if better:
        return f"{token} is to be sent late although {better[0].name}, its successor, was brought home"
    if _harmful(before.left) == _harmful(setting.budget):
        return f"{token} is to be sent late although no outcome was ever unknown"
    return None


def invariant_2_some_token_is_kept(before: World, step: Step, setting: Setting) -> str | None:
    """Without a lost answer or a crash, a live token is in the record, or on its way to a holder that will store it."""
    after = step.world
    if after.record is None or _lost_something(after, setting):
        return None
    live = {token.name for token in after.provider.live()}
    if live and live.isdisjoint(names(after)):
        return f"nobody holds {live.pop()}, the only token that is good"
    return None


def invariant_3_versions_grow(before: World, step: Step, setting: Setting) -> str | None:
    """The version only grows; a stale holder's write is refused."""
    old, new = before.record, step.world.record
    if old is None or new is None:
        return None
    if step.written_onto is not None and step.written_onto != old.version:
        return f"version {old.version} was overwritten by a holder that had read version {step.written_onto}"
    if new is not old and new != old and new.version <= old.version:
        return f"version {old.version} was followed by version {new.version}"
    if new.rotation < old.rotation:
        return f"rotation {old.rotation} was followed by rotation {new.rotation}"
    return None


def invariant_4_the_dead_stay_dead(before: World, step: Step, setting: Setting) -> str | None:
    """A deleted session does not come back, and tokens that arrive for it are revoked."""
    after = step.world
    if before.record is None and after.record is not None:
        return "a deleted session lives again"
    if after.record is None and not _lost_something(after, setting) and not after.orphans:
        busy = any(replica.reserved is not None for replica in after.replicas)
        if not busy and after.provider.live():
            return f"the session is gone and {after.provider.live()[0].name} is still good at the provider"
    return None


def invariant_5_one_in_flight(before: World, step: Step, setting: Setting) -> str | None:
    """Holders exclude each other. A second request is one whose connection broke: with the same token, in the grace."""
    if step.sent is None:
        return None
    others = list(_awaited(before, setting))
    if others:
        return f"{step.sent.token} is sent while {others[0].token} is still awaited by another holder"
    if len(before.orphans) > 1:
        return "more than two requests are on their way"
    if any(request.token != step.sent.token and not request.after_grace for request in before.orphans):
        return f"{step.sent.token} is sent while {before.orphans[0].token} is still on its way"
    return None


def invariant_6_no_accidental_end(before: World, step: Step, setting: Setting) -> str | None:
    """A session ends only by logout or by a confirmed refusal, never while a token brought home is still good."""
    if step.revoked is not None and step.world.record is not None:
        return f"{step.revoked} was revoked although the session lives"
    if step.ended is None:
        return None
    late_is_off = step.ended is EndReason.ROTATION_LOST and not setting.policy.after_grace
    given_up = before.record.tokens.refresh_token if late_is_off and before.record else None
    good = [token for token in before.provider.live() if token.home and token.name != given_up]
    if good:
        return f"the session ended ({step.ended}) although {good[0].name}, which had been brought home, is good"
    if step.ended is not EndReason.REFRESH_TOKEN_INVALID and not late_is_off:
        return f"the session ended for no reason of its own: {step.ended}"
    left, budget = _harmful(step.world.left), _harmful(setting.budget)
    if left == budget:
        return f"the session ended ({step.ended}) and nothing had gone wrong"
    policy, behaviour = setting.policy, setting.behaviour
    in_time = 2 * policy.timeout + 1 <= policy.grace and behaviour.replay != "old_stale"
    answered = left._replace(throttles=step.world.left.throttles, breakdowns=step.world.left.breakdowns)
    if in_time and answered == setting.budget._replace(sign_outs=0, refusals=0, losses=budget.losses - 1):
        return f"the session ended ({step.ended}) and a single answer had been lost"
    return None


def invariant_8_every_caller_has_an_answer(before: World, step: Step, setting: Setting) -> str | None:
    """No caller is stuck: it is told to use, to send, or until when to wait, and that moment lies ahead and near."""
    world = step.world
    if world.record is None:
        return None
    decision = setting.core.decide(world.record, world.now, setting.policy, resend_of=None)
    match decision:
        case AwaitRefresh(until) if not world.now < until <= world.now + setting.policy.lease:
            return f"at {world.now} a caller is told to wait until {until}"
        case RetryLater(at) if not world.now < at <= world.now + MAX_BACKOFF:
            return f"at {world.now} a caller is told to come back at {at}"
        case UseAccessToken() if int(world.record.tokens.access_token[1:]) <= world.now:
            ended_at = world.record.tokens.access_token[1:]
            return f"invariant 9: an access token that ended at {ended_at} is used at {world.now}"
    return None


Invariant = Callable[[World, Step, Setting], str | None]
EVERY: tuple[Invariant, ...] = (
    invariant_1_no_old_token,
    invariant_1_late_is_the_last_resort,
    invariant_2_some_token_is_kept,
    invariant_3_versions_grow,
    invariant_4_the_dead_stay_dead,
    invariant_5_one_in_flight,
    invariant_6_no_accidental_end,
    invariant_8_every_caller_has_an_answer,
)


def broken(before: World, step: Step, setting: Setting) -> str | None:
    for invariant in EVERY:
        what = invariant(before, step, setting)
        if what is not None:
            return f"{invariant.__name__}: {what}"
    return None


def _harmful(budget: Budget) -> Budget:
    """Without the faults that leave no outcome unknown and no token rotated."""
    return budget._replace(refusals=0, sign_outs=0, throttles=0, breakdowns=0)


def _lost_something(world: World, setting: Setting) -> bool:
    left, budget = world.left, setting.budget
    return left.crashes < budget.crashes or left.losses < budget.losses or left.revocations < budget.revocations


def _awaited(world: World, setting: Setting) -> Iterator[Request]:
    """Requests whose holders still wait."""
    for replica in world.replicas:
        request = replica.request
        if request is not None and world.now <= request.sent_at + setting.policy.timeout:
            yield request
