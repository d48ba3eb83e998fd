"""The invariants of rotation, checked at every step: what may be sent, stored, handed out, ended and left behind."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bff.errors import BffError, RefreshRefused
from bff.oidc.token import Denied, Granted, NoAnswer, Postponed, TokenResult
from bff.session.session import EndReason, RefreshAttempt, Session, SessionKey
from demo.simulator.grants import Issued, RefreshOutcome, Refusal, Refused
from tests.proof.simulation.loop import Process, SimulatedLoop
from tests.proof.simulation.scenario import Scenario
from tests.proof.simulation.trace import Trace

if TYPE_CHECKING:
    from tests.proof.simulation.provider import TokenEndpoint

EPOCH = 1_900_000_000.0
CALLER_DEADLINE = 10.0
STORE_OPERATIONS = 3 * 2.0  # seconds: what a caller may meet after its wait, each within the store's own deadline
POLLS = 20  # reads a second by those who wait for another replica, for each session and replica
LONG_ENOUGH = 15.0  # seconds of the grace in which a replica that nothing keeps from it asks again
TOO_LATE = 2.0  # seconds of it that are not enough for another try: the least pause, and a margin
NO_WAY = {"partition", "outage", "failover", "invalid_client", "breakdown", "unassigned", "revoked_by_administrator"}
UNCLEAR = {"invalid_request", "unspecified"}  # refusals that do not say that the refresh token is invalid
AT_ONCE = 0.5  # seconds between a reservation and the request it is for, unless the process was stopped
NOT_LEFT_YET = 0.1  # seconds after a delete in which its revocation may not have left: a task has to begin, and connect
AHEAD = 2.0  # seconds that a replica's idea of the store's time may run ahead: one slow operation


class InvariantViolated(Exception):
    """`session` is the name of the session whose story shows it, empty if it is the whole world's."""

    def __init__(self, invariant: str, what: str, session: str = "") -> None:
        super().__init__(f"{invariant} broken by {session or 'the world'}: {what}")
        self.invariant, self.session = invariant, session


@dataclass(slots=True, eq=False)
class Presentation:
    """One request to the token endpoint, with what its holder knew of it."""

    refresh_token: str
    key: SessionKey
    attempt: RefreshAttempt
    process: Process
    task: "asyncio.Task[Any]"
    sent_at: float = 0.0
    over: bool = False
    lost: bool = False
    heard_at: float = 0.0
    stopped_for: float = 0.0  # of its process, by then
    better: bool = False  # this very process had been given a token that is newer and good
    elsewhere: bool = False  # a process that still runs has long had such a token
    outcome: RefreshOutcome | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    process: Process
    at: float
    stopped_for: float


@dataclass(slots=True, eq=False)
class Watched:
    """One session as the invariants see it. Times are simulated seconds."""

    key: SessionKey
    name: str
    sub: str
    refresh_tokens: list[str] = field(default_factory=list)  # issued by the provider for this sign-in
    delivered: dict[str, "Delivery | None"] = field(default_factory=dict)  # of them, those that reached a replica
    failovers: int = 0  # that lost a write of this session
    durable: set[str] = field(default_factory=set)  # access tokens that were ever in the store
    in_flight: int = 0
    failed_over_at: list[float] = field(default_factory=list)
    attempts: set[str] = field(default_factory=set)
    told_to_wait: tuple[str, float] = ("", 0.0)  # by an answer to that attempt, until then
    unknown: "Presentation | None" = None  # the last send, if its holder knows that its outcome is unknown
    not_before: float = 0.0  # the same, once the store has it
    in_vain: float = 0.0  # when it was last to be asked again since then, and nobody could connect
    polls: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=POLLS + 1)))
    holder: str = ""
    refusals: list[tuple[float, Refusal, str]] = field(default_factory=list)
    refused_at: float = 0.0  # when a replica last heard a refusal
    unclear: list[tuple[float, str]] = field(default_factory=list)  # refusals that were heard: when, by which process
    settled: list[tuple[float, str]] = field(default_factory=list)  # of them, those that a granted token made void
    excuses: set[str] = field(default_factory=set)
    sign_out_asked: bool = False
    ended_at: float | None = None
    ended: str = ""
    last_used_at: float = 0.0


class Invariants:
    def __init__(self, loop: SimulatedLoop, scenario: Scenario, trace: Trace) -> None:
        self.loop, self.scenario, self.trace = loop, scenario, trace
        self.sessions: dict[SessionKey, Watched] = {}
        self.counts: Counter[str] = Counter()
        self.excused: Counter[str] = Counter()
        self.endpoint: TokenEndpoint | None = None
        self.violation: asyncio.Future[None] | None = None
        self.calm_since: float | None = None
        self.at_a_moment: Callable[[Process, SessionKey], None] = lambda process, key: None
        self._granted: dict[str, list[float]] = defaultdict(list)  # by process
        self._owners: dict[str, Watched] = {}
        self._expiry: dict[str, float] = {}
        self._late_alarms: set[str] = set()
        self._excused_alarms: dict[str, str] = {}
        self._revoked_by_us: set[str] = set()
        self._refresh_tasks: list[Presentation] = []
        self._deleting: dict[tuple[str, SessionKey], bool] = {}
        self._deleted_at: dict[tuple[str, SessionKey], float] = {}

    def broken(self, invariant: str, what: str, key: SessionKey | None = None) -> None:
        name = self.sessions[key].name if key in self.sessions else ""
        self.trace.add(self.loop.time(), "INVARIANT", f"{invariant} broken: {what}", name)
        if self.violation is not None and not self.violation.done():
            self.violation.set_exception(InvariantViolated(invariant, what, name))

    def excuse(self, key: SessionKey, why: str) -> None:
        if key in self.sessions:
            self.sessions[key].excuses.add(why)

    def excuse_token(self, token: str, why: str) -> None:
        if token in self._owners:
            self._owners[token].excuses.add(why)

    def _say(self, who: str, what: str, watched: Watched) -> None:
        self.trace.add(self.loop.time(), who, what, watched.name)

    def signed_in(self, session: Session, issued: Issued, name: str) -> None:
        watched = Watched(session.key, name, session.user.sub, last_used_at=self.loop.time())
        self.sessions[session.key] = watched
        watched.durable.add(session.tokens.access_token)
        self._issued(watched, issued)
        watched.delivered.update(dict.fromkeys(watched.refresh_tokens))

    def _issued(self, watched: Watched, issued: Issued) -> None:
        self._owners[issued.access_token] = watched
        self._expiry[issued.access_token] = issued.access_token_expires_at - EPOCH
        if issued.refresh_token is not None and issued.refresh_token not in self._owners:
            self._owners[issued.refresh_token] = watched
            watched.refresh_tokens.append(issued.refresh_token)

    def acknowledged(self, session: Session) -> None:
        """The store told a replica that its write is durable."""
        task = asyncio.current_task()
        assert task is not None
        task.acknowledged = session, self.loop.time()  # type: ignore[attr-defined]

    def read(self, key: SessionKey, process: Process) -> None:
        """A replica reads a record; who only waits for it to move must not make a storm of it."""
        task = asyncio.current_task()
        if task is None or not task.get_name().startswith("watch") or key not in self.sessions:
            return
        polls = self.sessions[key].polls[process.name]
        polls.append(self.loop.time())
        if len(polls) > POLLS and polls[-1] - polls[0] < 1.0:
            self.broken("no polling storm", f"{POLLS} reads in {polls[-1] - polls[0]:.2f} s", key)

    def written(self, before: Session, after: Session, by: str) -> None:
        watched = self.sessions[after.key]
        watched.durable.add(after.tokens.access_token)
        if after.version != before.version + 1:
            self.broken("invariant 3", f"version {before.version} became {after.version}", after.key)
        if after.rotation < before.rotation:
            self.broken("invariant 3", f"rotation {before.rotation} became {after.rotation}", after.key)
        old, new = before.attempt, after.attempt
        if (
            new is not None
            and watched.told_to_wait[0] == new.attempt_id
            and new.lease_until <= self.loop.time() + EPOCH
        ):
            # While an earlier answer is lost, waiting for ever so long would lose the token: the record says less then.
            said = watched.told_to_wait[1]
            watched.not_before = said if new.first_sent_at is None else min(said, new.not_before - EPOCH)
        if new is not None and (old is None or old.attempt_id != new.attempt_id):
            self._say(by, f"reserves v{after.version}, try {new.tries}{', late' if new.after_grace else ''}", watched)
            # After a refusal that does not say what is wrong, a second try is right.
            if old is not None and old.refused_at is None and self.scenario.faultless:
                self.broken("invariant 5", "a second try though nothing is wrong", after.key)
            if old is not None and watched.holder != by:
                self.counts["takeovers"] += 1
            watched.holder = by
        elif new is None and old is not None:
            self.counts["renewals"] += 1
            self._say(by, f"renews v{after.version}, rotation {after.rotation}", watched)
        else:
            self._say(by, f"writes v{after.version}, rotation {after.rotation}, attempt {new and new.tries}", watched)
        token = after.tokens.refresh_token
        if (
            before.concurrent_successor is not None
            and token == before.concurrent_successor.refresh_token != before.tokens.refresh_token
        ):
            self.counts["alternates promoted"] += 1
        if after.concurrent_successor is not None and before.concurrent_successor is None:
            self.counts["alternates kept"] += 1

    def rolled_back(self, lost: Session, kept: Session) -> None:
        watched = self.sessions[lost.key]
        self.counts["writes lost by failover"] += 1
        watched.failovers += 1
        watched.failed_over_at.append(self.loop.time())
        self.excuse(lost.key, "a failover")
        if kept.attempt is not None and kept.attempt.refused_at is not None:
            # The record that is back still counts from this refusal; what was granted since is lost with the write.
            since = kept.attempt.refused_at - EPOCH - AHEAD
            watched.unclear = [refusal for refusal in watched.settled if refusal[0] >= since] + watched.unclear
            watched.settled = []
        self._say("store", f"v{lost.version} is lost, v{kept.version} is back", watched)

    def deleting(self, process: Process, key: SessionKey, *, under_way: bool) -> None:
        if under_way:
            self._deleting[process.name, key] = True
        else:
            self._deleting.pop((process.name, key), None)
            self._deleted_at[process.name, key] = self.loop.time()

    def deleted(self, session: Session, reason: EndReason, last_seen_at: float) -> None:
        watched, now = self.sessions[session.key], self.loop.time()
        watched.ended_at = now
        watched.ended = verdict = self._why_it_ended(watched, session, reason, last_seen_at)
        self._say("store", f"deleted: {reason.value} ({verdict})", watched)
        self.counts[f"ended: {verdict}"] += 1

    def _why_it_ended(self, watched: Watched, session: Session, reason: EndReason, last_seen_at: float) -> str:
        """Invariant 6. Every end has a cause outside of us."""
        now, attempt, policy = self.loop.time() + EPOCH, session.attempt, self.scenario.policy
        match reason:
            case EndReason.SIGNED_OUT if watched.sign_out_asked:
                return "signed out"
            case EndReason.ABSOLUTE_TIMEOUT if now + AHEAD >= session.ends_at:
                return "absolute timeout"
            case EndReason.IDLE_TIMEOUT if now + AHEAD >= last_seen_at + policy.idle_timeout:
                # Last-seen is written at most once in so many seconds, and such a write may be lost to a fault.
                unused_for = now - EPOCH - watched.last_used_at
                if (
                    self.scenario.faultless
                    and unused_for < policy.idle_timeout - min(60.0, policy.idle_timeout / 10) - 1
                ):
                    self.broken("invariant 6", f"idle after {unused_for:.1f} s", watched.key)
                return "idle timeout"
            case EndReason.ROTATION_LOST if not policy.after_grace and attempt is not None:
                return "outcome unknown beyond the grace, late sends off"
            case EndReason.PROVIDER_DENIED:
                times = [at for at, refusal, _ in watched.refusals if refusal is Refusal.USER_NOT_ASSIGNED]
                if times and times[-1] - times[0] >= 60.0 - AHEAD:
                    return "unassigned"
            case EndReason.REFRESH_TOKEN_INVALID:
                return self._why_it_was_refused(watched, session)
            case _:
                pass
        self.broken("invariant 6", f"ended for no reason of its own: {reason.value}", watched.key)
        return "accident"

    def _why_it_was_refused(self, watched: Watched, session: Session) -> str:
        assert self.endpoint is not None
        refusals = [each for each in watched.refusals if each[1] is not Refusal.USER_NOT_ASSIGNED]
        unclear = bool(watched.unclear) and watched.unclear[-1][0] == watched.refused_at
        if unclear and not self._is_proven(watched):
            self.broken("invariant 6", "an unclear refusal ended it, and nothing proved it", watched.key)
            return "accident"
        if not refusals or refusals[-1][2] != session.tokens.refresh_token:
            if unclear:
                # A provider that refuses everybody, recovers, and does so again proves what is not true.
                return "two breakdowns of the provider"
            self.broken("invariant 6", "the provider never refused this token", watched.key)
            return "accident"
        if refusals[-1][1] is Refusal.EXPIRED:
            return "the refresh token's own limit"
        if "the administrator" in watched.excuses:
            return "revoked by the administrator"
        if watched.key in self._late_alarms:
            return "refused a late send"
        if watched.key in self._excused_alarms:
            return self._excused_alarms[watched.key]
        good = [token for token in watched.delivered if self._is_live(token)]
        if not good:
            return "every answer with a good token was lost"
        for why in ("a crash", "a failover", "an outcome that could not be stored", "cut off by a drain"):
            if why in watched.excuses:
                return f"{why} took the only good token"
        holders = [watched.delivered[token] for token in good]
        if all(holder is not None and not holder.process.running for holder in holders):
            return "the only good token is with a replica that is stopped"
        self.broken(
            "invariant 6", "signed out by accident: a replica was given a token that is still good", watched.key
        )
        return "accident"

    def _is_proven(self, watched: Watched) -> bool:
        """Whether it was refused a minute apart, and the process that heard it last was granted a token in between."""
        at, process = watched.unclear[-1]
        first = [earlier for earlier, _ in watched.unclear if earlier <= at - 60.0 + AHEAD]
        self.counts["unclear refusals that ended a session"] += 1
        return any(earlier < granted < at for earlier in first for granted in self._granted[process])

    def _is_live(self, token: str) -> bool:
        assert self.endpoint is not None
        return self.endpoint.families.live_sign_in(token, self.loop.time() + EPOCH) is not None

    def about_to_send(self, refresh_token: str, process: Process) -> Presentation:
        task = asyncio.current_task()
        assert task is not None
        written = getattr(task, "acknowledged", None)
        session: Session | None = written[0] if written else None
        attempt = session.attempt if session else None
        if session is None or attempt is None or session.tokens.refresh_token != refresh_token:
            self.broken("write before send", "a token is sent without a reservation")
            raise InvariantViolated("write before send", "a token is sent without a reservation")
        watched = self.sessions[session.key]
        if attempt.attempt_id in watched.attempts:
            self.broken("write before send", "one reservation is used twice", session.key)
        watched.attempts.add(attempt.attempt_id)
        if self.loop.time() - written[1] > AT_ONCE and not process.stopped_for:
            self.broken("invariant 5", "a lease ran while its holder queued", session.key)
        self.at_a_moment(process, session.key)
        presentation = Presentation(refresh_token, session.key, attempt, process, task)
        self._refresh_tasks.append(presentation)
        return presentation

    def sent(self, presentation: Presentation) -> None:
        """The bytes leave."""
        watched, now, attempt = self.sessions[presentation.key], self.loop.time(), presentation.attempt
        policy = self.scenario.policy
        presentation.sent_at = now
        watched.in_flight += 1
        if watched.in_flight > 1:
            self.counts["two in flight"] += 1
        # A reader of a record that a failover has put back cannot know of a request in flight: one more for each
        # failover whose consequences may last, the reassertion of a lost result included.
        window = max(policy.grace, policy.lease) + policy.lease
        failovers = sum(at > now - window for at in watched.failed_over_at)
        if watched.in_flight > 2:
            self.counts["three in flight"] += 1
        if watched.in_flight > 1 + failovers:
            self.broken(
                "invariant 5",
                f"{watched.in_flight} token requests in flight after {failovers} failovers",
                presentation.key,
            )
        if now + EPOCH + policy.timeout >= attempt.lease_until:
            self.broken("invariant 5", "sent when the lease no longer covers the answer", presentation.key)
        if now < watched.not_before - 0.01 and "a failover" not in watched.excuses:
            self.broken("back-off", f"sent {watched.not_before - now:.2f} s before it may", presentation.key)
        watched.not_before = 0.0
        if not attempt.after_grace:
            watched.unknown = None
        better = [
            delivery
            for token, delivery in watched.delivered.items()
            if delivery is not None and token != presentation.refresh_token and self._is_live(token)
        ]
        presentation.better = attempt.after_grace and any(each.process is presentation.process for each in better)
        presentation.elsewhere = any(
            each.at + LONG_ENOUGH < now < each.process.died_at
            and each.process.running
            and each.process.stopped_for == each.stopped_for
            for each in better
        )
        self.counts["late sends" if attempt.after_grace else "sends"] += 1
        self._say(presentation.process.name, f"sends, try {attempt.tries}", watched)
        self.at_a_moment(presentation.process, presentation.key)

    def processed(self, presentation: Presentation, outcome: RefreshOutcome, *, alarmed: bool) -> None:
        """What the provider did, whether or not anybody hears of it."""
        watched = self.sessions[presentation.key]
        presentation.outcome = outcome
        match outcome:
            case Issued():
                self._issued(watched, outcome)
                self.counts["replays in grace"] += outcome.resend
                if outcome.resend and self.scenario.behaviour == "old token, stale":
                    watched.excuses.add("the old token that came back stale")
                if outcome.older_than_previous:
                    self._judge_old_token(watched, presentation, "older than the previous one")
                self._say("provider", f"grants{' again' if outcome.resend else ''}", watched)
            case Refused(reason):
                watched.refusals.append((self.loop.time(), reason, presentation.refresh_token))
                self._say("provider", f"refuses: {reason.value}", watched)
        if alarmed:
            self._judge_old_token(watched, presentation, "after its grace")

    def _judge_old_token(self, watched: Watched, presentation: Presentation, how: str) -> None:
        """Invariant 1."""
        fallen = [watched]
        if self.scenario.provider.family_scope == "user_and_client":
            fallen = [each for each in self.sessions.values() if each.sub == watched.sub]
        if presentation.attempt.after_grace:
            self.counts["reuse alarms of late sends"] += 1
            if presentation.better and not watched.excuses & {"a failover", "the old token that came back stale"}:
                self.broken("invariant 2", "a late send, though this replica had been given a good token", watched.key)
            if self._could_have_tried_again(watched):
                self.broken("invariant 2", "a lost answer was not asked for again inside the grace", watched.key)
            self._late_alarms.update(each.key for each in fallen)
            return
        if presentation.elsewhere and watched.failovers == 1 and not NO_WAY - {"failover"} & set(self.scenario.every):
            self.broken("invariant 2", "what one failover lost was not written again by who still had it", watched.key)
        for why in ("a failover", "the old token that came back stale"):
            if why in watched.excuses:
                self.excused[f"a token presented {how}: {why}"] += 1
                self._excused_alarms.update({each.key: f"reuse after {why}" for each in fallen})
                return
        self.broken("invariant 1", f"a token is presented {how}, and not marked late", watched.key)

    def _could_have_tried_again(self, watched: Watched) -> bool:
        """Whether the holder that heard no answer lived and ran, with a store and a provider, until the grace ended."""
        sent, policy = watched.unknown, self.scenario.policy
        if sent is None or sent.attempt.first_sent_at is None or NO_WAY & set(self.scenario.every):
            return False
        grace_ended = sent.attempt.first_sent_at - EPOCH + policy.grace - policy.timeout
        process = sent.process
        in_time = sent.heard_at + LONG_ENOUGH < grace_ended
        ran = process.running and process.stopped_for == sent.stopped_for
        if in_time and process.died_at > grace_ended and ran and watched.in_vain + TOO_LATE > grace_ended:
            self.excused["a lost answer was asked for again, and nobody could connect until its grace was over"] += 1
            return False
        return in_time and process.died_at > grace_ended and ran

    def not_connected(self, presentation: Presentation) -> None:
        """It was reserved and did not leave: nobody could connect."""
        self.sessions[presentation.key].in_vain = self.loop.time()

    def connected_too_late(self, presentation: Presentation, seconds: float) -> None:
        """Connecting took `seconds`: the same, if the lease did not cover an answer from then on."""
        if seconds >= self.scenario.policy.lease - self.scenario.policy.timeout:
            self.not_connected(presentation)

    def lost(self, presentation: Presentation) -> None:
        self.counts["answers lost"] += 1
        presentation.lost = True
        watched = self.sessions[presentation.key]
        if isinstance(presentation.outcome, Issued):
            watched.excuses.add("a lost answer")
        self._say("network", "the answer is lost", watched)

    def over(self, presentation: Presentation) -> None:
        presentation.over = True
        self.sessions[presentation.key].in_flight -= 1

    def answered(self, presentation: Presentation, answer: TokenResult) -> None:
        """The answer is in the hands of the replica."""
        watched = self.sessions[presentation.key]
        if isinstance(answer, Granted):
            self._granted[presentation.process.name].append(self.loop.time())
            watched.settled += watched.unclear
            watched.unclear = []
        if isinstance(answer, Denied):
            watched.refused_at = self.loop.time()
            if answer.status == 400 and answer.error in UNCLEAR:
                watched.unclear.append((watched.refused_at, presentation.process.name))
        if isinstance(answer, Granted) and answer.tokens.refresh_token:
            process = presentation.process
            watched.delivered[answer.tokens.refresh_token] = Delivery(process, self.loop.time(), process.stopped_for)
        if isinstance(answer, NoAnswer) and answer.may_have_been_sent:
            watched.unknown, watched.in_vain = presentation, 0.0
            presentation.heard_at, presentation.stopped_for = self.loop.time(), presentation.process.stopped_for
        if isinstance(answer, Postponed) and answer.retry_after is not None:
            watched.told_to_wait = presentation.attempt.attempt_id, self.loop.time() + answer.retry_after
        what = f"hears {type(answer).__name__}{f' ({answer.why})' if isinstance(answer, NoAnswer) else ''}"
        self._say(presentation.process.name, what, watched)
        self.at_a_moment(presentation.process, presentation.key)

    def cut_off(self, presentation: Presentation, process: Process) -> None:
        if not process.draining:
            self.broken("the refresh belongs to the application", "a request was cancelled in flight", presentation.key)
        self.excuse(presentation.key, "cut off by a drain")

    @contextmanager
    def keeping(self, token: str, process: Process) -> Iterator[None]:
        """Until the queue has it, a token to be revoked goes down with the process that holds it."""
        watched = self._owners.get(token)
        if watched is None:
            yield
            return
        self._deleting[process.name, watched.key] = True
        try:
            yield
        except asyncio.CancelledError:
            watched.excuses.add("cut off by a drain")
            raise
        self._deleting.pop((process.name, watched.key), None)

    @contextmanager
    def revoking(self, token: str, process: Process) -> Iterator[None]:
        """As long as the revocation has not left, it goes down with its process."""
        watched = self._owners[token]
        self._say(process.name, "revokes a token", watched)
        if watched.ended_at is None:
            self.broken("never revoke", "a token of a live session is revoked", watched.key)
        self._deleting[process.name, watched.key] = True
        try:
            yield
        except asyncio.CancelledError:
            watched.excuses.add("cut off by a drain")
            raise
        self._deleting.pop((process.name, watched.key), None)

    def revoked(self, token: str) -> None:
        self._revoked_by_us.add(token)
        self.counts["revocations"] += 1

    def gone(self, process: Process, why: str) -> None:
        """A process ended; what it held in its hands is lost with it."""
        for flight in self._refresh_tasks:
            if flight.process is process and (not flight.task.done() or flight.task.cancelled()):
                self.excuse(flight.key, why)
        self._refresh_tasks = [flight for flight in self._refresh_tasks if not flight.task.done()]
        for name, key in list(self._deleting):
            if name == process.name:
                if why == "a crash":  # a drain waits for what is under way
                    self.excuse(key, why)
                del self._deleting[name, key]
        for (name, key), at in list(self._deleted_at.items()):
            if name == process.name:
                if why == "a crash" and self.loop.time() - at < NOT_LEFT_YET:
                    self.excuse(key, why)
                del self._deleted_at[name, key]

    def handed_out(self, session: Session, key: SessionKey, asked_at: float, *, passive: bool) -> None:
        watched, now, token = self.sessions[key], self.loop.time(), session.tokens.access_token
        self.counts["access tokens handed out"] += 1
        if session.key != key or self._owners.get(token) is not watched or session.user.sub != watched.sub:
            self.broken("invariant 7", "a caller got what belongs to another session", key)
            return
        if token not in watched.durable:
            self.broken("invariant 2", "a token is handed out that the store does not have", key)
        if now >= self._expiry[token]:
            self.broken("invariant 9", f"a token is handed out {now - self._expiry[token]:.2f} s after it expired", key)
        if watched.ended_at is not None and asked_at > watched.ended_at:
            self.broken("invariant 4", "a session lives on after its end", key)
        if not passive:
            watched.last_used_at = now

    def waited(self, key: SessionKey, seconds: float) -> None:
        """Invariant 8. `seconds` are those in which the process was running."""
        if seconds > CALLER_DEADLINE + STORE_OPERATIONS:
            self.broken("invariant 8", f"a caller waited {seconds:.2f} s", key)

    def turned_away(self, key: SessionKey, asked_at: float, error: BffError) -> None:
        why = error.code
        self.counts[f"callers told {why}"] += 1
        watched = self.sessions[key]
        if isinstance(error, RefreshRefused) and not any(self._is_live(token) for token in watched.delivered):
            # Every token that a replica was given is dead, which cannot be proven: the session stays, and its user may
            # sign in again. A good one whose response was lost helps nobody.
            self.counts["callers offered a sign-in"] += 1
            return
        if self.scenario.faultless:
            self.broken("invariant 10", f"a caller is told {why} though nothing is wrong", key)
        if self.calm_since is not None and asked_at >= self.calm_since:
            self.broken("invariant 10", f"a caller is told {why} though all faults are long over", key)

    def sign_in_required(self, key: SessionKey) -> None:
        if self.sessions[key].ended_at is None:
            self.broken("invariant 6", "sign-in is asked for though the session has not ended", key)

    def left_behind(self) -> None:
        """Invariant 4: what the provider still honours for a session that is gone."""
        for watched in self.sessions.values():
            if watched.ended_at is None or not any(self._is_live(token) for token in watched.refresh_tokens):
                continue
            if not watched.excuses:
                self.broken(
                    "invariant 4", f"a good token is left behind by a session that ended: {watched.ended}", watched.key
                )
                return
            self.excused["a token nobody holds: " + ", ".join(sorted(watched.excuses))] += 1
