"""What a sign-in is for: where the person wants to go, what is asked of the provider. It travels sealed in `state`."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from bff.oidc.authorization import SignInOptions

LONGEST: Final = 1380  # bytes as they are written; sealed they are 1890 characters


@dataclass(frozen=True, slots=True)
class SignInIntent:
    """The purpose of a sign-in.

    `max_age` is in seconds. `restarts` counts the automatic restarts, which are limited.
    """

    return_to: str = "/"
    prompt: str | None = None
    max_age: int | None = None
    acr_values: tuple[str, ...] = ()
    idp: str | None = None
    restarts: int = 0

    @property
    def options(self) -> SignInOptions:
        """The options of the authorization request, for validation of the response and for a retry."""
        return SignInOptions(self.prompt, self.max_age, self.acr_values, idp=self.idp)


PLAIN_SIGN_IN: Final = SignInIntent()


def write_intent(intent: SignInIntent) -> bytes:
    """JSON of the values that differ from the defaults; empty if none does."""
    default = asdict(PLAIN_SIGN_IN)
    record = {name: value for name, value in asdict(intent).items() if value != default[name]}
    return json.dumps(record, separators=(",", ":")).encode("ascii") if record else b""


def read_intent(plaintext: bytes) -> SignInIntent | None:
    """None for an invalid intent.

    Unknown fields of a newer version are ignored: both versions may run during a deploy.
    """
    try:
        record = json.loads(plaintext)
    except ValueError:
        return None
    if not isinstance(record, dict) or not all(_is_valid(name, value) for name, value in record.items()):
        return None
    known: Mapping[str, Any] = {name: value for name, value in record.items() if name in _TYPES}
    return SignInIntent(**{**known, "acr_values": tuple(known.get("acr_values", ()))})


_TYPES: Final[Mapping[str, type]] = {
    "return_to": str,
    "prompt": str,
    "max_age": int,
    "acr_values": list,
    "idp": str,
    "restarts": int,
}


def _is_valid(name: str, value: object) -> bool:
    expected_type = _TYPES.get(name)
    if expected_type is None:
        return True
    if type(value) is not expected_type:
        return False
    return not isinstance(value, list) or all(isinstance(entry, str) for entry in value)


def fits_into_state(intent: SignInIntent) -> bool:
    """Whether `state` holds it."""
    return len(write_intent(intent)) <= LONGEST
