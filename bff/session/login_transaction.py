"""The sign-in under way: what the callback must know again, sealed in a cookie and in the `state` that names it.

The cookie `login-<slot>` holds what binds the answer to this browser: the secret behind nonce and PKCE verifier, when
it began, and at which provider. `state` (RFC 6749 section 4.1.1) holds the transaction's id and, sealed with that id,
what the person wanted: where to go, and what was asked of the provider. A callback needs both, of the same sign-in.

There are `SLOTS` names for that cookie and its size is constant, so however many sign-ins a browser is made to begin,
its cookies stay small. Two sign-ins that met in one slot cost the earlier one its cookie, not its destination: the
callback sees that a newer one took the slot and begins again.

Nothing is stored on the server: a sign-in may begin on one replica and end on another.
"""

import hashlib
import hmac
import re
import secrets
import struct
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from itsdangerous import BadData, TimestampSigner

from bff.oidc.authorization import SignInOptions
from bff.session.keyring import KeyRing, Opened, Unreadable, decode_base64url, encode_base64url
from bff.session.sign_in_intent import PLAIN_SIGN_IN, SignInIntent, read_intent, write_intent

PURPOSE: Final = "login-transaction-2"
INTENT_PURPOSE: Final = "sign-in-intent"
SLOTS: Final = 16
# Replicas' clocks may differ: a state dated a little ahead was signed by a neighbour, not by a forger.
CLOCK_SKEW: Final = 300  # seconds

_ID_BYTES: Final = 16
# id | secret | started_at | provider | browser, which is all zero where it is not known
_COOKIE: Final = struct.Struct(">16s32sd12s32s")
_UNKNOWN_BROWSER: Final = bytes(32)
# id (16 bytes) [. sealed intent] . date . HMAC-SHA256: all of it in the alphabet that Okta allows for `state`,
# [A-Za-z0-9,._-].
_STATE: Final = re.compile(
    r"([A-Za-z0-9_-]{22})(?:\.([A-Za-z0-9_-]{1,1900}))?\.([A-Za-z0-9_-]{1,11})\.([A-Za-z0-9_-]{43})", re.ASCII
)


@dataclass(frozen=True, slots=True)
class LoginTransaction:
    """One sign-in under way. `started_at` is in seconds since the epoch.

    `provider` says which issuer was asked and where it was to answer (`provider_fingerprint`): settings may change
    meanwhile. `browser` is the hash of the companion cookie, which an answer by form_post comes without; None where it
    is not known yet.
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
    """Ours, but too old: the sign-in may silently begin again."""

    id: str
    intent: SignInIntent = PLAIN_SIGN_IN


@dataclass(frozen=True, slots=True)
class StateInvalid:
    """Not signed by us, or not whole."""


StateResult: TypeAlias = StateOk | StateExpired | StateInvalid


def provider_fingerprint(issuer: str, redirect_uri: str) -> str:
    """Which provider was asked, and where it was to answer: 16 characters."""
    return encode_base64url(hashlib.sha256(f"{issuer}\n{redirect_uri}".encode()).digest()[:12])


def slot_of(transaction_id: str) -> int:
    """Which of the `SLOTS` cookies a transaction is kept in: the first four bits of its id."""
    decoded = decode_base64url(transaction_id)
    if decoded is None:
        raise ValueError("not the id of a sign-in")
    return decoded[0] >> 4


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
        _bytes_of(transaction.id),
        transaction.secret,
        transaction.started_at,
        _bytes_of(transaction.provider),
        _UNKNOWN_BROWSER if transaction.browser is None else _bytes_of(transaction.browser),
    )
    return ring.seal_text(PURPOSE, plaintext, bytes([transaction.slot]))


def open_transaction(text: str, slot: int, ring: KeyRing) -> LoginTransaction | Unreadable:
    """What `seal_transaction` sealed for that slot, by any key of the ring. Its intent is in the `state`.

    Whose sign-in it is must be compared by its id: a newer one may have taken the slot.
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


def _bytes_of(text: str) -> bytes:
    decoded = decode_base64url(text)
    if decoded is None:
        raise ValueError("not base64url")
    return decoded


class _ClockedSigner(TimestampSigner):
    """itsdangerous reads the clock itself; this one is given the time."""

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
    """The `state` parameter: dated with the transaction's start, signed with the newest key.

    73 characters where nothing was wanted but to sign in; at most 2048 for the longest address that
    `bff.session.return_to` lets through.
    """
    written = write_intent(transaction.intent)
    value = transaction.id
    if written:
        value += "." + ring.seal_text(INTENT_PURPOSE, written, transaction.id.encode())
    return _ClockedSigner(ring, transaction.started_at).sign(value).decode("ascii")


def read_state(state: str, ring: KeyRing, *, now: float, lifetime: float) -> StateResult:
    """Whose `state` this is, and what it was for. `now` in seconds since the epoch, `lifetime` in seconds.

    The text must be exactly the one that was signed: the library's decoder would forgive foreign characters and
    trailing bits in the signature.
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
    """The transaction of the cookie, joined with what its `state` says."""
    return replace(transaction, intent=intent)
