"""The sign-in under way: what the callback must know again, sealed in a cookie, and the `state` that names it.

`state` (RFC 6749 section 4.1.1) is the transaction's id, signed and dated. The transaction travels in the cookie
`login-<id>`, sealed with that id as context, so a callback needs the state *and* the cookie of the same browser.
Nothing is stored on the server: a sign-in may begin on one replica and end on another.
"""

import hashlib
import json
import re
import secrets
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, TypeAlias

from itsdangerous import BadData, TimestampSigner

from bff.oidc.authorization import PLAIN, SignInOptions
from bff.session.sealing import KeyRing, Opened, Unreadable, decode_base64url, encode_base64url

PURPOSE: Final = "login-transaction"
# Replicas' clocks may differ: a state dated a little ahead was signed by a neighbour, not by a forger.
CLOCK_SKEW: Final = 300  # seconds

_SCHEMA: Final = 1
# id (16 bytes) . date . HMAC-SHA256: all of it in the alphabet that Okta allows for `state`, [A-Za-z0-9,._-].
_STATE: Final = re.compile(r"([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{1,11})\.([A-Za-z0-9_-]{43})", re.ASCII)


@dataclass(frozen=True, slots=True)
class LoginTransaction:
    """One sign-in under way. `started_at` is in seconds since the epoch, `max_age` in seconds.

    `issuer` and `redirect_uri` are those of the authorization request: the answer is judged by them even if the
    settings change meanwhile. `restarts` counts the silent new beginnings that led here, so that they can be ended.
    `browser` is the hash of the companion cookie, which an answer by form_post comes without; None where it is not
    known yet.
    """

    id: str
    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)
    return_to: str
    started_at: float
    issuer: str
    redirect_uri: str
    max_age: int | None = None
    acr_values: tuple[str, ...] = ()
    restarts: int = 0
    prompt: str | None = None
    idp: str | None = None
    browser: str | None = field(default=None, repr=False)

    @property
    def options(self) -> SignInOptions:
        """What was asked of the provider, to judge the answer by, or to ask again."""
        return SignInOptions(self.prompt, self.max_age, self.acr_values, idp=self.idp)


_FIELDS: Final = tuple(each.name for each in fields(LoginTransaction))


@dataclass(frozen=True, slots=True)
class StateOk:
    id: str


@dataclass(frozen=True, slots=True)
class StateExpired:
    """Ours, but too old: the sign-in may silently begin again."""

    id: str


@dataclass(frozen=True, slots=True)
class StateInvalid:
    """Not signed by us, or not whole."""


StateReading: TypeAlias = StateOk | StateExpired | StateInvalid


def begin(
    *,
    now: float,
    return_to: str,
    issuer: str,
    redirect_uri: str,
    options: SignInOptions = PLAIN,
    restarts: int = 0,
    browser: str | None = None,
) -> LoginTransaction:
    """A new transaction: id of 128 random bits, nonce (OIDC Core section 15.5.2) and verifier (RFC 7636) of 256."""
    return LoginTransaction(
        id=encode_base64url(secrets.token_bytes(16)),
        nonce=encode_base64url(secrets.token_bytes(32)),
        code_verifier=encode_base64url(secrets.token_bytes(32)),
        return_to=return_to,
        started_at=now,
        issuer=issuer,
        redirect_uri=redirect_uri,
        max_age=options.max_age,
        acr_values=options.acr_values,
        restarts=restarts,
        prompt=options.prompt,
        idp=options.idp,
        browser=browser,
    )


def seal_transaction(transaction: LoginTransaction, ring: KeyRing) -> str:
    """The value of the cookie `login-<id>`."""
    record = {"v": _SCHEMA, **asdict(transaction)}
    plaintext = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
    return ring.seal_text(PURPOSE, plaintext, transaction.id.encode())


def open_transaction(text: str, transaction_id: str, ring: KeyRing) -> LoginTransaction | Unreadable:
    """What `seal_transaction` sealed for exactly that id, by any key of the ring."""
    match ring.open_text(PURPOSE, text, transaction_id.encode()):
        case Opened(plaintext):
            transaction = _decoded(plaintext)
            if transaction is None or transaction.id != transaction_id:
                return Unreadable("invalid")
            return transaction
        case unreadable:
            return unreadable


def _decoded(plaintext: bytes) -> LoginTransaction | None:
    """None for a record of another schema. Fields that a newer build added are passed over: both builds may be live."""
    try:
        record: dict[str, Any] = json.loads(plaintext)
        if record["v"] != _SCHEMA:
            return None
        known = {name: record[name] for name in _FIELDS if name in record}
        return LoginTransaction(**{**known, "acr_values": tuple(known.get("acr_values", ()))})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


class _DatedSigner(TimestampSigner):
    """itsdangerous reads the clock itself; this one is told the time, as everything in this room is."""

    def __init__(self, ring: KeyRing, now: float) -> None:
        super().__init__(
            ring.signing_secrets(),
            salt=b"authorization request state",
            sep=".",
            key_derivation="hmac",
            digest_method=hashlib.sha256,
        )
        self._now = int(now)

    def get_timestamp(self) -> int:
        return self._now


def sign_state(transaction: LoginTransaction, ring: KeyRing) -> str:
    """The `state` parameter: dated with the transaction's start, signed with the newest key; 73 characters."""
    return _DatedSigner(ring, transaction.started_at).sign(transaction.id).decode("ascii")


def read_state(state: str, ring: KeyRing, *, now: float, lifetime: float) -> StateReading:
    """Whose `state` this is. `now` in seconds since the epoch, `lifetime` in seconds.

    The text must be exactly the one that was signed: the library's decoder would forgive foreign characters and
    trailing bits in the signature.
    """
    parts = _STATE.fullmatch(state)
    if parts is None or any(decode_base64url(part) is None for part in parts.groups()):
        return StateInvalid()
    try:
        signed_id, signed_at = _DatedSigner(ring, now).unsign(state, return_timestamp=True)
    except BadData:
        return StateInvalid()
    transaction_id = signed_id.decode("ascii")
    age = now - signed_at.timestamp()
    return StateOk(transaction_id) if -CLOCK_SKEW <= age <= lifetime else StateExpired(transaction_id)
