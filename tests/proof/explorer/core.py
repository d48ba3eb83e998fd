"""What is explored: the pure functions, and the promises of the flow around them. A mutant overrides one of them."""

from typing import NamedTuple

from bff.oidc.token import TokenResult
from bff.session import rotation, timing, token_response
from bff.session.rotation import RefreshDecision, ResourceCause, SendRefresh
from bff.session.session import RefreshAttempt, Session
from bff.session.token_response import RefreshResult
from tests.harness.policy import Policy


class Answered(NamedTuple):
    """The arguments of `apply_token_response`."""

    session: Session
    reserved: Session
    answer: TokenResult
    now: int
    policy: Policy


RESOURCE = "urn:stock"


class Core:
    """The product as it is. With `wants_resource` every read also asks for a token for `RESOURCE` (RFC 8707)."""

    wants_resource = False

    writes_before_sending = True
    revokes_for_a_deleted_session = True
    revokes_what_is_not_ours = False

    def decide(self, session: Session, now: int, policy: Policy, *, resend_of: str | None) -> RefreshDecision:
        wanted = ResourceCause(RESOURCE) if self.wants_resource else None
        return rotation.decide(session, now, policy, resend_of=resend_of, wanted=wanted)

    def reserve(self, session: Session, decision: SendRefresh, now: int, policy: Policy, attempt_id: str) -> Session:
        return rotation.reserve(session, decision, now, policy, attempt_id)

    def may_send(self, attempt: RefreshAttempt, now: int, policy: Policy) -> bool:
        return timing.may_send(attempt, now, policy)

    def settle(self, given: Answered) -> RefreshResult:
        return token_response.apply_token_response(*given)

    def may_write(self, record: Session, read: int) -> bool:
        """Compare-and-set: only onto the version that was read."""
        return record.version == read

    def may_delete(self, record: Session, read: int) -> bool:
        return record.version == read


class WithResource(Core):
    wants_resource = True
