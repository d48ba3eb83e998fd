"""The product with one mistake each: what the explorer has to catch, or it proves nothing."""

from dataclasses import replace

from bff.oidc.token import ClientProof, Denied, Granted, NoAnswer, Postponed
from bff.session.rotation import RefreshDecision, SendRefresh
from bff.session.session import RefreshAttempt, Session
from bff.session.token_response import Pending, RefreshResult, Renewed, Superseded
from tests.harness.policy import Policy
from tests.proof.explorer.core import Answered, Core


class MaySendAtEquality(Core):
    """`<=` where `<` is meant: the answer may come in the very moment another holder takes over."""

    def may_send(self, attempt: RefreshAttempt, now: int, policy: Policy) -> bool:
        return now + policy.timeout <= attempt.lease_until


class SendsAfterAPause(Core):
    """No replica asks again as the bytes leave."""

    def may_send(self, attempt: RefreshAttempt, now: int, policy: Policy) -> bool:
        return True


class ForgetsTheGraceAsItSends(Core):
    """The lease alone is asked as the bytes leave."""

    def may_send(self, attempt: RefreshAttempt, now: int, policy: Policy) -> bool:
        return now + policy.timeout < attempt.lease_until


class TakeoverResetsFirstSentAt(Core):
    def reserve(self, session: Session, decision: SendRefresh, now: int, policy: Policy, attempt_id: str) -> Session:
        reserved = super().reserve(session, decision, now, policy, attempt_id)
        assert reserved.attempt is not None
        return replace(reserved, attempt=replace(reserved.attempt, first_sent_at=float(now)))


class DoesNotCompareAndSet(Core):
    def may_write(self, record: Session, read: int) -> bool:
        return True


class SendsBeforeItWrites(Core):
    writes_before_sending = False


class DropsWhatArrivesForADeletedSession(Core):
    revokes_for_a_deleted_session = False


class DeletesAnyVersion(Core):
    """A refusal ends the session even if another replica has stored a successor since it was checked."""

    def may_delete(self, record: Session, read: int) -> bool:
        return True


class ChecksARefusalWithoutReadingAgain(Core):
    """A refusal is checked against the record as it was when the token was sent."""

    def settle(self, given: Answered) -> RefreshResult:
        return super().settle(given._replace(session=given.reserved) if isinstance(given.answer, Denied) else given)


class RevokesWhatIsNotOurs(Core):
    """The provider may have given both holders the same successor."""

    revokes_what_is_not_ours = True


class ForgetsTheAlternate(Core):
    def settle(self, given: Answered) -> RefreshResult:
        result = super().settle(given)
        return Superseded() if isinstance(result, Superseded) else result


class DoesNotMarkLate(ForgetsTheGraceAsItSends):
    """(`may_send` would stop such a send: it is not marked, so the grace is asked again.)"""

    def decide(self, session: Session, now: int, policy: Policy, *, resend_of: str | None) -> RefreshDecision:
        decision = super().decide(session, now, policy, resend_of=resend_of)
        return replace(decision, after_grace=False) if isinstance(decision, SendRefresh) else decision


class ForgetsAnEarlierUnknown(Core):
    """What was certainly not sent this time may have been sent before."""

    def settle(self, given: Answered) -> RefreshResult:
        result, answer = super().settle(given), given.answer
        certain = isinstance(answer, Postponed) or (isinstance(answer, NoAnswer) and not answer.may_have_been_sent)
        if certain and isinstance(result, Pending) and result.session.attempt is not None:
            attempt = replace(result.session.attempt, first_sent_at=None)
            return Pending(replace(result.session, attempt=attempt), result.resend)
        return result


class TakesTheUnsentForUnknown(Core):
    """A connection that was refused starts the grace, so that the next send is late without need."""

    def settle(self, given: Answered) -> RefreshResult:
        unknown = isinstance(given.answer, NoAnswer)
        return super().settle(given._replace(answer=NoAnswer(True)) if unknown else given)


class DropsTheOldRefreshToken(Core):
    """A grant without a refresh token means that the one we have stays good."""

    def settle(self, given: Answered) -> RefreshResult:
        result, answer = super().settle(given), given.answer
        if isinstance(result, Renewed) and isinstance(answer, Granted) and answer.tokens.refresh_token is None:
            return Renewed(replace(result.session, tokens=replace(result.session.tokens, refresh_token=None)))
        return result


class IgnoresTheLease(Core):
    def decide(self, session: Session, now: int, policy: Policy, *, resend_of: str | None) -> RefreshDecision:
        if session.attempt is not None:
            session = replace(session, attempt=replace(session.attempt, lease_until=float(now)))
        return super().decide(session, now, policy, resend_of=resend_of)


class NeverGivesTheLeaseUp(Core):
    """An unknown outcome keeps a lease that never ends, so that no replica goes on."""

    def settle(self, given: Answered) -> RefreshResult:
        result = super().settle(given)
        if isinstance(result, Pending) and result.session.attempt is not None:
            attempt = replace(result.session.attempt, lease_until=given.now + 10.0**6)
            return Pending(replace(result.session, attempt=attempt), resend=False)
        return result


class TakesAReplayForNew(Core):
    """A replayed access token is as old as the first send."""

    def settle(self, given: Answered) -> RefreshResult:
        session = given.session
        if session.attempt is not None:
            session = replace(session, attempt=replace(session.attempt, first_sent_at=None))
        return super().settle(given._replace(session=session))


class WritesTheSameVersion(Core):
    def settle(self, given: Answered) -> RefreshResult:
        result, version = super().settle(given), given.session.version
        return Renewed(replace(result.session, version=version)) if isinstance(result, Renewed) else result


class EndsAtTheFirstUnknown(Core):
    """A lost answer past the first try is taken for a lost rotation."""

    def decide(self, session: Session, now: int, policy: Policy, *, resend_of: str | None) -> RefreshDecision:
        policy = replace(policy, grace=0.0, after_grace=False)
        return super().decide(session, now, policy, resend_of=resend_of)


class PromotesBlindly(Core):
    """Keeps an alternate that is the session's own token, and tries it again once it has been refused."""

    def settle(self, given: Answered) -> RefreshResult:
        result, kept = super().settle(given), given.session.concurrent_successor
        if isinstance(result, Renewed) and kept is not None:
            return Renewed(replace(result.session, concurrent_successor=kept))
        return result


class ChecksTheTokenOfTheRecord(Core):
    """An answer to one token is taken for an answer to the one that the record has by now."""

    def settle(self, given: Answered) -> RefreshResult:
        session, reserved = given.session, given.reserved
        if session.attempt and reserved.attempt and session.attempt.attempt_id == reserved.attempt.attempt_id:
            return super().settle(given._replace(reserved=replace(reserved, tokens=session.tokens)))
        return super().settle(given)


class CountsThrottlingAsFinal(Core):
    """A 429 is judged by its body: Okta throttles a single user with `invalid_grant`."""

    def settle(self, given: Answered) -> RefreshResult:
        throttled = isinstance(given.answer, Postponed)
        return super().settle(given._replace(answer=Denied(400, "invalid_grant")) if throttled else given)


class NeedsNoProof(Core):
    """A refusal that does not say that the token is invalid counts although no other token request succeeds."""

    def settle(self, given: Answered) -> RefreshResult:
        if isinstance(given.answer, Denied):
            given = given._replace(answer=replace(given.answer, proof=ClientProof("client", 0.0)))
        return super().settle(given)


class CountsTheFirstUnclearRefusal(Core):
    def settle(self, given: Answered) -> RefreshResult:
        return super().settle(given._replace(policy=replace(given.policy, final_errors=("invalid_request",))))
