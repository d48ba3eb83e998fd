"""Challenges in an API's 401: step-up authentication (RFC 9470 section 3), or a nonce for the DPoP proof (RFC 9449
section 9).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

USE_NONCE: Final = "use_dpop_nonce"
INSUFFICIENT: Final = "insufficient_user_authentication"
MAX_LENGTH: Final = 4096  # bytes of one header value
MAX_ACR_VALUES: Final = 20
MAX_ACR_LENGTH: Final = 255

# One scheme, or one auth-param (RFC 9110 section 11.2); matched in sequence, so parsing takes linear time.
_PART: Final = re.compile(
    r'[ \t,]*([A-Za-z0-9!#$%&\'*+.^_`|~-]+)(?:[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^ \t,"]*)))?', re.DOTALL
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_ACR: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


@dataclass(frozen=True, slots=True)
class StepUpChallenge:
    """What the API requires; `max_age` is in seconds, None if absent. Either may be missing."""

    acr_values: tuple[str, ...] = ()
    max_age: int | None = None


def read_step_up(www_authenticate: Iterable[bytes]) -> StepUpChallenge | None:
    """The step-up challenge in the values of WWW-Authenticate, None if there is none. Never raises."""
    for value in www_authenticate:
        if len(value) > MAX_LENGTH:
            continue
        for scheme, parameters in _challenges(value.decode("latin-1")):
            if scheme in ("bearer", "dpop") and parameters.get("error") == INSUFFICIENT:
                return StepUpChallenge(_acr_values(parameters.get("acr_values", "")), _max_age(parameters))
    return None


def asks_for_nonce(www_authenticate: Iterable[bytes]) -> bool:
    """Whether an API requires a nonce in the DPoP proof (RFC 9449 section 9). Never raises."""
    return any(
        scheme == "dpop" and parameters.get("error") == USE_NONCE
        for value in www_authenticate
        if len(value) <= MAX_LENGTH
        for scheme, parameters in _challenges(value.decode("latin-1"))
    )


def _challenges(text: str) -> list[tuple[str, dict[str, str]]]:
    challenges: list[tuple[str, dict[str, str]]] = []
    at = 0
    while (part := _PART.match(text, at)) is not None:
        at = part.end()
        name, quoted, plain = part[1].lower(), part[2], part[3]
        if quoted is None and plain is None:
            challenges.append((name, {}))
        elif challenges:
            value = _ESCAPED.sub(r"\1", quoted) if quoted is not None else plain
            challenges[-1][1].setdefault(name, value)
    return challenges


def _acr_values(text: str) -> tuple[str, ...]:
    values = [value for value in text.split() if len(value) <= MAX_ACR_LENGTH and _ACR.fullmatch(value)]
    return tuple(dict.fromkeys(values))[:MAX_ACR_VALUES]


def _max_age(parameters: dict[str, str]) -> int | None:
    text = parameters.get("max_age", "")
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None
