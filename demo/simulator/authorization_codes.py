"""Authorization codes: valid for 300 seconds and single-use, as at Okta."""

import secrets
from dataclasses import dataclass, field

from demo.simulator.grants import SignIn

LIFETIME = 300  # seconds


@dataclass(frozen=True, slots=True)
class CodeGrant:
    sign_in: SignIn
    redirect_uri: str
    nonce: str | None
    code_challenge: str | None = field(repr=False)
    issued_at: float


class AuthorizationCodes:
    def __init__(self) -> None:
        self._grants: dict[str, CodeGrant] = {}
        self._spent: set[str] = set()

    def issue(self, grant: CodeGrant) -> str:
        code = secrets.token_urlsafe(32)
        self._grants[code] = grant
        return code

    def peek(self, code: str, now: float) -> CodeGrant | None:
        """The grant of an unused code that has not expired."""
        grant = self._grants.get(code)
        return grant if grant is not None and now < grant.issued_at + LIFETIME else None

    def spend(self, code: str) -> None:
        self._spent.add(code)
        self._grants.pop(code, None)

    def was_spent(self, code: str) -> bool:
        return code in self._spent
