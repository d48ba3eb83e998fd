"""Whether a refused refresh token is refused for good: the table of error responses to a refresh. Pure.

| answer | class |
|---|---|
| 400 or 403 with one of the final errors (`invalid_grant`, and those that the settings add) | FINAL |
| 400 `access_denied` | USER_DENIED: final when it is repeated a minute later |
| 400 with a code that is about the client, the request or the moment (`NEVER_FINAL`) | NOT_THE_TOKEN |
| 400 that is no error response (a web page) | NOT_THE_TOKEN |
| any other 400: `invalid_request`, an unknown code, no code, no body | UNCONFIRMED: final with the proof below |
| any other status | NOT_THE_TOKEN |

A 429 is `Postponed`, and 408 and 5xx are `NoAnswer`, whatever their bodies say: they never get here. Some providers
answer a dead refresh token with `invalid_request` or with nothing at all. That is also what a provider says that is
broken, or that was misconfigured for this client, so such an answer alone ends nothing. It counts after two requests a
minute apart, once the access token has expired, if in between this process was granted a user's token with the same
client credentials: then the endpoint works, it accepts the client, and what is left is this token.
"""

from collections.abc import Collection
from enum import Enum, auto
from typing import Final

from bff.oidc.error_codes import NEVER_FINAL, UNREADABLE
from bff.oidc.token import Denied
from bff.session.session import RefreshAttempt, Session
from bff.session.timing import RefreshPolicy

FINAL_STATUSES: Final = (400, 403)


class Refusal(Enum):
    FINAL = auto()
    USER_DENIED = auto()
    UNCONFIRMED = auto()
    NOT_THE_TOKEN = auto()


def classify(answer: Denied, final_errors: Collection[str]) -> Refusal:
    """`final_errors` are the codes that say that a refresh token is invalid."""
    if answer.error in NEVER_FINAL or answer.error == UNREADABLE or answer.status not in FINAL_STATUSES:
        return Refusal.NOT_THE_TOKEN
    if answer.error in final_errors:
        return Refusal.FINAL
    if answer.status != 400:
        return Refusal.NOT_THE_TOKEN
    return Refusal.USER_DENIED if answer.error == "access_denied" else Refusal.UNCONFIRMED


def is_confirmed(
    session: Session, attempt: RefreshAttempt, answer: Denied, asked_at: float, now: float, policy: RefreshPolicy
) -> bool:
    """Whether an UNCONFIRMED `answer` to the request of `asked_at` proves that the refresh token is dead.

    `asked_at` is when the request was reserved. It may have been sent later, so the grant that lies before it is
    assumed to be older than it is: an error delays the end of a session and never causes it.
    """
    proof, refused_at = answer.proof, attempt.refused_at
    if refused_at is None or proof is None or proof.granted_ago is None or proof.credentials != attempt.refused_with:
        return False
    granted_at = asked_at - proof.granted_ago
    expired = now >= session.tokens.usable_until
    return expired and refused_at < granted_at and asked_at - refused_at >= policy.confirm_refusal_after
