"""Injectable faults: what fails, how often or how long, and at which endpoint."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias


class Instead(StrEnum):
    """The request is not processed."""

    RESET = "reset"  # the connection is reset in place of an answer
    STALL = "stall"  # no response until the client disconnects
    SERVER_ERROR = "server_error"  # 5xx (`status`, by default 500)
    RATE_LIMITED = "rate_limited"  # 429 E0000047; `retry_after` seconds | "date" | "garbage", `reset_in` seconds
    USER_RATE_LIMITED = "user_rate_limited"  # 429 with error=invalid_grant
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"  # 400
    INVALID_CLIENT = "invalid_client"  # 401
    ACCESS_DENIED = "access_denied"  # 400 user_not_assigned
    NO_MATCHING_POLICY = "no_matching_policy"  # 401 access_denied
    INVALID_GRANT = "invalid_grant"  # 400, and the family is really revoked
    INVALID_SCOPE = "invalid_scope"  # 400
    INVALID_TARGET = "invalid_target"  # 400
    UNAUTHORIZED_CLIENT = "unauthorized_client"  # 400: the app lacks the grant type
    SUBJECT_TOKEN_INVALID = "subject_token_invalid"  # 400 invalid_request
    SUBJECT_TOKEN_EXPIRED = "subject_token_expired"  # 400 invalid_grant, and nothing is revoked
    SERVER_NOT_TRUSTED = "server_not_trusted"  # 403 access_denied
    HTML = "html"  # 200 with a page
    SLOW = "slow"  # processed after `delay` seconds, or when `release` is set


class Afterwards(StrEnum):
    """The request was processed, so a token may have been rotated, and then:"""

    LOSE_ANSWER = "lose_answer"  # the connection is closed without an answer
    RESET_MID_BODY = "reset_mid_body"  # reset after half of the answer
    TRUNCATE = "truncate"  # closed after half of the answer
    BROKEN_BODY = "broken_body"  # 200, complete, and not JSON
    SERVER_ERROR_AFTER = "server_error_after"  # 5xx (`status`)
    STALL_AFTER = "stall_after"  # no response until the client disconnects
    SLOW_ANSWER = "slow_answer"  # answered after `delay` seconds, or when `release` is set
    EDIT_ANSWER = "edit_answer"  # members of `set` are put into the JSON answer; None takes one out


FaultKind: TypeAlias = Instead | Afterwards


def fault_kind(name: str) -> FaultKind:
    """Raises ValueError."""
    return Afterwards(name) if name in list(Afterwards) else Instead(name)


@dataclass(slots=True)
class Fault:
    """`endpoint` is a path's last segment, or "any". `until` is an epoch time.

    `grant` narrows to one grant_type, `where` to requests whose form has these parameters.

    What is slow takes `delay` seconds, or until `release` is set; `held`: whichever comes first.
    """

    kind: FaultKind
    endpoint: str = "token"
    grant: str | None = None
    where: dict[str, str] | None = None
    times: int | None = 1
    until: float | None = None
    delay: float = 1.0
    status: int = 500
    retry_after: float | str | None = None
    reset_in: float | None = None
    set: dict[str, Any] | None = None
    release: asyncio.Event | None = None
    held: bool = False

    async def wait(self) -> None:
        """For as long as what is slow takes."""
        if self.release is None:
            await asyncio.sleep(self.delay)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.delay if self.held else None):
                await self.release.wait()

    def concerns(self, endpoint: str, form: Mapping[str, str]) -> bool:
        where = {**({} if self.grant is None else {"grant_type": self.grant}), **(self.where or {})}
        return self.endpoint in (endpoint, "any") and where.items() <= form.items()

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind.value,
            "endpoint": self.endpoint,
            "grant": self.grant,
            "where": self.where,
            "times": self.times,
            "until": self.until,
        }


class Faults:
    """A queue: each request takes the oldest matching fault."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self._faults.append(fault)

    def add_first(self, fault: Fault) -> None:
        self._faults.insert(0, fault)

    def clear(self) -> None:
        self._faults.clear()

    def remove(self, gone: Iterable[Fault]) -> None:
        doomed = {id(fault) for fault in gone}
        self._faults = [fault for fault in self._faults if id(fault) not in doomed]

    def pending(self, now: float) -> list[Fault]:
        self._faults = [
            fault
            for fault in self._faults
            if (fault.until is None or now < fault.until) and (fault.times is None or fault.times > 0)
        ]
        return list(self._faults)

    def take(self, endpoint: str, form: Mapping[str, str], now: float) -> Fault | None:
        for fault in self.pending(now):
            if fault.concerns(endpoint, form):
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None
