"""The login transaction: what the callback needs, sealed in a cookie and in the `state` that names it.

The cookie `login-<slot>` holds what binds the response to this browser: the secret from which nonce and PKCE verifier
are derived, the start time, and the provider. `state` (RFC 6749 section 4.1.1) holds the transaction's id and, sealed
with that id, the intent: the return path, and the options of the authorization request. A callback needs both, of the
same sign-in. There are `SLOTS` names for that cookie and its size is constant, so a browser's cookies stay small
however many sign-ins it is made to start. When two sign-ins meet in one slot, the earlier one loses its cookie but not
its return path: the callback detects the newer one and restarts. Nothing is stored on the server: a sign-in may start
on one replica and end on another.
"""

import hashlib
import hmac
import re
import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from itsdangerous import BadData, TimestampSigner

from bff.base64url import decode_base64url, encode_base64url, require_base64url
from bff.oidc.authorization import SignInOptions
from bff.session.keyring import KeyRing, Opened, Unreadable
from bff.session.sign_in_intent import PLAIN_SIGN_IN, SignInIntent, read_intent, write_intent

PURPOSE: Final = "login-transaction-2"
INTENT_PURPOSE: Final = "sign-in-intent"
SLOTS: Final = 16
# Replicas' clocks may differ: a state dated slightly ahead comes from another replica.
CLOCK_SKEW: Final = 300  # seconds

_ID_BYTES: Final = 16
# id | secret | started_at | provider | browser, which is all zero if unknown
_COOKIE: Final = struct.Struct(">16s32sd12s32s")
_UNKNOWN_BROWSER: Final = bytes(32)
# id (16 bytes) [. sealed intent] . date . HMAC-SHA256: in the alphabet that Okta allows for `state`, [A-Za-z0-9,._-].
_STATE: Final = re.compile(
    r"([A-Za-z0-9_-]{22})(?:\.([A-Za-z0-9_-]{1,1900}))?\.([A-Za-z0-9_-]{1,11})\.([A-Za-z0-9_-]{43})", re.ASCII
)


@dataclass(frozen=True, slots=True)
class LoginTransaction:
    """One sign-in in progress.

    `started_at` is in seconds since the epoch. `provider` identifies the issuer, redirect URI and resources of the
    authorization request (`provider_fingerprint`), because settings may change meanwhile. `browser` is the hash of the
    browser-id cookie, which a form_post response does not carry; None if it is not known yet.
    """

    id: str
    secret: bytes = field(repr=False)
    started_at: float
    provider: str
    browser: str | None = field(default=None, repr=False)
    intent: SignInIntent = PLAIN_SIGN_IN

    @property
    def slot(self) -> int:
        return slot_of(self.id)

    @property
    def nonce(self) -> str:
        """256 bits (OIDC Core section 15.5.2)."""
        return self._derived(b"nonce")

    @property
    def code_verifier(self) -> str:
        """256 bits (RFC 7636 section 7.1)."""
        return self._derived(b"code_verifier")

    @property
    def return_to(self) -> str:
        return self.intent.return_to

    @property
    def options(self) -> SignInOptions:
        return self.intent.options

    def _derived(self, what: bytes) -> str:
        return encode_base64url(hmac.digest(self.secret, what, "sha256"))


@dataclass(frozen=True, slots=True)
class StateOk:
    id: str
    intent: SignInIntent = PLAIN_SIGN_IN


@dataclass(frozen=True, slots=True)
class StateExpired:
    """Ours, but expired: the sign-in may be restarted automatically."""

    id: str
    intent: SignInIntent = PLAIN_SIGN_IN


@dataclass(frozen=True, slots=True)
class StateInvalid:
    """Not signed by us, or truncated."""


StateResult: TypeAlias = StateOk | StateExpired | StateInvalid


def provider_fingerprint(issuer: str, redirect_uri: str, resources: Sequence[str] = ()) -> str:
    """Identifies issuer, redirect URI and requested resources (RFC 8707): 16 characters."""
    return encode_base64url(hashlib.sha256("\n".join([issuer, redirect_uri, *resources]).encode()).digest()[:12])


def slot_of(transaction_id: str) -> int:
    """Which of the `SLOTS` cookies holds a transaction: the first four bits of its id."""
    return require_base64url(transaction_id)[0] >> 4


def begin(
    *, now: float, provider: str, intent: SignInIntent, browser: str | None = None, slot: int | None = None
) -> LoginTransaction:
    """A new transaction: an id of 124 random bits and its slot (a random one unless it is given), a secret of 256."""
    random = secrets.token_bytes(_ID_BYTES)
    if slot is not None:
        random = bytes([slot << 4 | random[0] & 0x0F]) + random[1:]
    return LoginTransaction(
        id=encode_base64url(random),
        secret=secrets.token_bytes(32),
        started_at=now,
        provider=provider,
        browser=browser,
        intent=intent,
    )


def seal_transaction(transaction: LoginTransaction, ring: KeyRing) -> str:
    """The value of the cookie `login-<slot>`, always of the same length."""
    plaintext = _COOKIE.pack(
        require_base64url(transaction.id),
        transaction.secret,
        transaction.started_at,
        require_base64url(transaction.provider),
        _UNKNOWN_BROWSER if transaction.browser is None else require_base64url(transaction.browser),
    )
    return ring.seal_text(PURPOSE, plaintext, bytes([transaction.slot]))


def open_transaction(text: str, slot: int, ring: KeyRing) -> LoginTransaction | Unreadable:
    """Opens what `seal_transaction` sealed for that slot, with any key of the ring.

    Its intent is in `state`. The caller must compare the id: a newer sign-in may have taken the slot.
    """
    match ring.open_text(PURPOSE, text, bytes([slot])):
        case Opened(plaintext):
            if len(plaintext) != _COOKIE.size:
                return Unreadable("invalid")
            identifier, secret, started_at, provider, browser = _COOKIE.unpack(plaintext)
            if identifier[0] >> 4 != slot or not 0 <= started_at < 1e12:
                return Unreadable("invalid")
            return LoginTransaction(
                id=encode_base64url(identifier),
                secret=secret,
                started_at=started_at,
                provider=encode_base64url(provider),
                browser=None if browser == _UNKNOWN_BROWSER else encode_base64url(browser),
            )
        case unreadable:
            return unreadable


class _ClockedSigner(TimestampSigner):
    """itsdangerous reads the system clock; this subclass takes the time as an argument."""

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
    """The `state` parameter: dated with the transaction's start, signed with the newest key. 73 characters for an
    intent with defaults only; at most 2048 for the longest path that `bff.session.return_to` accepts.
    """
    written = write_intent(transaction.intent)
    value = transaction.id
    if written:
        value += "." + ring.seal_text(INTENT_PURPOSE, written, transaction.id.encode())
    return _ClockedSigner(ring, transaction.started_at).sign(value).decode("ascii")


def read_state(state: str, ring: KeyRing, *, now: float, lifetime: float) -> StateResult:
    """The transaction id of a `state`, and its intent.

    `now` in seconds since the epoch, `lifetime` in seconds. The text must be exactly the signed one: the library's
    decoder would accept foreign characters and trailing bits in the signature.
    """
    parts = _STATE.fullmatch(state)
    if parts is None or any(part is not None and decode_base64url(part) is None for part in parts.groups()):
        return StateInvalid()
    try:
        signed, signed_at = _ClockedSigner(ring, now).unsign(state, return_timestamp=True)
    except BadData:
        return StateInvalid()
    transaction_id, _, sealed = signed.decode("ascii").partition(".")
    intent: SignInIntent | None = PLAIN_SIGN_IN
    if sealed:
        opened = ring.open_text(INTENT_PURPOSE, sealed, transaction_id.encode())
        intent = read_intent(opened.plaintext) if isinstance(opened, Opened) else None
    if intent is None:
        return StateInvalid()
    age = now - signed_at.timestamp()
    return (StateOk if -CLOCK_SKEW <= age <= lifetime else StateExpired)(transaction_id, intent)


def with_intent(transaction: LoginTransaction, intent: SignInIntent) -> LoginTransaction:
    """The transaction of the cookie, combined with its `state`."""
    return replace(transaction, intent=intent)
