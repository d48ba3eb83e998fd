"""A sign-in in progress: its cookie, its `state`, and what happens to both when they are modified."""

import re
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.oidc.authorization import MAX_LENGTHS, SignInOptions
from bff.session.keyring import KeyRing, Opened, Unreadable
from bff.session.login_transaction import (
    CLOCK_SKEW,
    INTENT_PURPOSE,
    PURPOSE,
    SLOTS,
    LoginTransaction,
    StateExpired,
    StateInvalid,
    StateOk,
    StateResult,
    begin,
    open_transaction,
    provider_fingerprint,
    read_state,
    seal_transaction,
    sign_state,
    slot_of,
    with_intent,
)
from bff.session.return_to import LENGTH_LIMIT
from bff.session.sign_in_intent import SignInIntent, fits_into_state
from tests.harness.minting import other_trailing_bits

OLD, NEW = b"\x01" * 31 + b"o", b"\x02" * 31 + b"n"
RING = KeyRing.from_keys([NEW])
NOW = 1_800_000_000.75
LIFETIME = 600
REDIRECT_URI = "https://app.example/authorization-code/callback"
PROVIDER = provider_fingerprint("https://example.okta.com", REDIRECT_URI)
PLAIN = SignInIntent()
INTENT = SignInIntent("/orders?x=1#y", "login", 0, ("urn:okta:loa:2fa:any",), "0oa1", restarts=1)


def a_sign_in(**changes: object) -> LoginTransaction:
    started = begin(now=NOW, provider=PROVIDER, intent=INTENT, browser="h" * 42 + "g")
    return replace(started, **changes)  # type: ignore[arg-type]


def read(state: str, ring: KeyRing = RING, now: float = NOW) -> StateResult:
    return read_state(state, ring, now=now, lifetime=LIFETIME)


def test_a_sign_in_is_random_in_everything_that_must_be() -> None:
    first, second = a_sign_in(), a_sign_in()
    assert len({value for each in (first, second) for value in (each.id, each.nonce, each.code_verifier)}) == 6
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", first.id)
    assert re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", first.code_verifier)  # RFC 7636 section 4.1
    assert (first.started_at, first.return_to) == (NOW, "/orders?x=1#y")
    assert first.options == SignInOptions("login", 0, ("urn:okta:loa:2fa:any",), idp="0oa1")


def test_cookie_and_state_together_give_back_the_transaction() -> None:
    for transaction in (a_sign_in(), a_sign_in(browser=None, intent=PLAIN)):
        opened = open_transaction(seal_transaction(transaction, RING), transaction.slot, RING)
        assert isinstance(opened, LoginTransaction)
        result = read(sign_state(transaction, RING))
        assert result == StateOk(transaction.id, transaction.intent)
        assert with_intent(opened, transaction.intent) == transaction
        assert (opened.nonce, opened.code_verifier) == (transaction.nonce, transaction.code_verifier)


def test_a_sign_in_begun_by_another_release_ends_in_this_one() -> None:
    cookie = (
        "AV-Kr8qh_LYX9n7ZB6l6rU6ul9JdS67xNBu3AMD1XuC58D4KMziShXDDN6Lt3EBWZY9nra0lIaC4UwQsam9F3W8_RwZbdz67"
        "gg7j2jI9b8yqetA6CRavvTSsXtUxwNe8TNGpNIW3kHs3VfCm70mCqi9AxXNmHfwSnSciIw-VkvR1qzck1Q"
    )
    state = (
        "AAAAAAAAAAAAAAAAAAAAAQ.AV-Kr8rD00zCm-rVKv8SJQs1msHWZBLWOBdB2YSaxGpTazHIdwr4Y_4Yex5y37ovA2tYu4unw61q"
        "eOObYk3Rrrinvq33iNDjmLaS23ScZmBlWa93MuQ72HjCrmCY7EwcZZa950Bnw-9pY6m9rMtxiy1-cp3cAevIT265U2x6CXMaK5Ef"
        "jvArem6yMFFbjJgiRR8G6xw_ZRZTEOE.a0nSAA.kmsPhmnvYhGis4stHHZIkF_c9y-1xjsGoavGqD-0asU"
    )
    opened = open_transaction(cookie, 0, RING)
    assert opened == a_sign_in(id="A" * 21 + "Q", secret=bytes(range(32)), intent=PLAIN)
    assert isinstance(opened, LoginTransaction)
    assert opened.nonce == "LWvcU5kBMuzpyIuTOIA7-8E5qtsDcTjRex3ATDRM34o"
    assert opened.code_verifier == "kHCmA1HljaE5RbrTJDbdh96Nn9l1IpK18XLRsrC_xKw"
    assert read(state) == StateOk(opened.id, INTENT)


def test_the_cookie_has_one_size_whatever_was_requested() -> None:
    long = SignInIntent(return_to="/" + "x" * (LENGTH_LIMIT - 1))
    transactions = (a_sign_in(), a_sign_in(browser=None), a_sign_in(intent=long))
    assert len({len(seal_transaction(transaction, RING)) for transaction in transactions}) == 1


def test_the_slot_is_part_of_the_id() -> None:
    for slot in range(SLOTS):
        transaction = begin(now=NOW, provider=PROVIDER, intent=INTENT, slot=slot)
        assert (slot_of(transaction.id), transaction.slot) == (slot, slot)
        assert transaction.browser is None
    ids = {begin(now=NOW, provider=PROVIDER, intent=INTENT, slot=3).id for _ in range(500)}
    assert len(ids) == 500
    assert len({identifier[1] for identifier in ids}) > 32  # the rest of the first byte stays random
    assert {a_sign_in().slot for _ in range(500)} == set(range(SLOTS))


def test_the_provider_is_issuer_and_redirect_uri() -> None:
    assert len(PROVIDER) == 16
    assert provider_fingerprint("https://example.okta.com", REDIRECT_URI) == PROVIDER
    assert provider_fingerprint("https://other.okta.com", REDIRECT_URI) != PROVIDER
    assert provider_fingerprint("https://example.okta.com", REDIRECT_URI + "2") != PROVIDER


def test_secrets_and_the_return_path_are_readable_nowhere() -> None:
    transaction = a_sign_in()
    for text in (repr(transaction), seal_transaction(transaction, RING), sign_state(transaction, RING)):
        for secret in (transaction.code_verifier, transaction.nonce, repr(transaction.secret), transaction.browser):
            assert secret is not None
            assert secret not in text
    assert "orders" not in sign_state(transaction, RING)


@pytest.mark.case("CK-005", "AZ-045")
def test_a_cookie_opens_in_its_own_slot_and_for_its_own_purpose_only() -> None:
    transaction = a_sign_in()
    for slot in set(range(SLOTS)) - {transaction.slot}:
        assert open_transaction(seal_transaction(transaction, RING), slot, RING) == Unreadable("invalid")
    session_cookie = RING.seal_text("session-cookie", b"x" * 32, bytes([transaction.slot]))
    assert open_transaction(session_cookie, transaction.slot, RING) == Unreadable("invalid")


def test_a_sign_in_begun_before_a_key_rotation_ends_after_it() -> None:
    before, after = KeyRing.from_keys([OLD]), KeyRing.from_keys([NEW, OLD])
    transaction = a_sign_in()
    cookie, state = seal_transaction(transaction, before), sign_state(transaction, before)
    opened = open_transaction(cookie, transaction.slot, after)
    assert isinstance(opened, LoginTransaction)
    assert with_intent(opened, INTENT) == transaction
    assert read(state, after) == StateOk(transaction.id, INTENT)
    assert read(state) == StateInvalid()
    assert open_transaction(cookie, transaction.slot, RING) == Unreadable("unknown_key")


def test_a_sealed_cookie_of_another_format_is_invalid() -> None:
    transaction = a_sign_in()
    opened = RING.open_text(PURPOSE, seal_transaction(transaction, RING), bytes([transaction.slot]))
    assert isinstance(opened, Opened)
    plaintext = opened.plaintext
    others = [b"", plaintext[:-1], plaintext + b"x", b"{}", bytes([plaintext[0] ^ 0x80]) + plaintext[1:]]
    others += [
        plaintext[:48] + struct.pack(">d", started_at) + plaintext[56:]
        for started_at in (float("nan"), float("inf"), -1.0, 1e12)
    ]
    for other in others:
        text = RING.seal_text(PURPOSE, other, bytes([transaction.slot]))
        assert open_transaction(text, transaction.slot, RING) == Unreadable("invalid")
    at_the_epoch = replace(transaction, started_at=0.0, intent=PLAIN)
    assert open_transaction(seal_transaction(at_the_epoch, RING), transaction.slot, RING) == at_the_epoch


def test_a_signed_state_with_an_unreadable_intent_is_invalid() -> None:
    def with_sealed(sealed: str) -> str:  # signed as it is, not sealed again
        return sign_state(a_sign_in(id=f"{'A' * 22}.{sealed}", intent=PLAIN), RING)

    def sealed(plaintext: bytes, context: bytes = b"A" * 22) -> str:
        return RING.seal_text(INTENT_PURPOSE, plaintext, context)

    assert read(with_sealed(sealed(b'{"return_to":"/x"}'))) == StateOk("A" * 22, SignInIntent("/x"))
    for other in (sealed(b"[]"), sealed(b'{"return_to":"/x"}', b"B" * 22), sealed(b"")):
        assert read(with_sealed(other)) == StateInvalid()


def test_the_longest_return_path_fits_into_a_state_that_is_read_back() -> None:
    intent = replace(INTENT, return_to="/" + "x" * (LENGTH_LIMIT - 1))
    assert fits_into_state(intent)
    while fits_into_state(longer := replace(intent, idp=f"{intent.idp}x")):
        intent = longer
    transaction = a_sign_in(intent=intent)
    state = sign_state(transaction, RING)
    assert len(state) <= MAX_LENGTHS["state"]
    assert read(state) == StateOk(transaction.id, intent)


def test_the_state_uses_the_characters_that_okta_allows() -> None:
    for _ in range(200):
        assert re.fullmatch(r"[A-Za-z0-9,._-]{73}", sign_state(a_sign_in(intent=PLAIN), RING))
        assert re.fullmatch(r"[A-Za-z0-9,._-]{74,}", sign_state(a_sign_in(), RING))


@pytest.mark.parametrize(
    ("age", "result"),
    [
        (0, StateOk),
        (LIFETIME, StateOk),
        (LIFETIME + 0.5, StateExpired),
        (10**9, StateExpired),
        (-CLOCK_SKEW, StateOk),
        (-CLOCK_SKEW - 0.5, StateExpired),
    ],
)
def test_the_state_is_valid_for_its_lifetime_and_then_expired(
    age: float, result: type[StateOk] | type[StateExpired]
) -> None:
    transaction = a_sign_in()
    dated = int(NOW)  # in whole seconds
    assert read(sign_state(transaction, RING), now=dated + age) == result(transaction.id, INTENT)


@pytest.mark.case("AZ-006")
def test_only_the_exact_signed_text_is_a_state() -> None:
    state, full = sign_state(a_sign_in(intent=PLAIN), RING), sign_state(a_sign_in(), RING)
    identifier, date, signature = state.split(".")
    other_date = sign_state(a_sign_in(started_at=NOW + 600), RING).split(".")[2]
    for text in (
        *("", ".", "..", state + "x", state[:-1], state + "=", state + "\n", other_trailing_bits(state), state * 1000),
        f"{identifier}.{date}.{signature[:20]}!{signature[20:]}",
        *(f"{identifier}.{date}", f"{identifier}..{signature}", f"{identifier}.{date}.{date}.{signature}"),
        *(f"{a_sign_in().id}.{date}.{signature}", f"{identifier}.{other_date}.{signature}"),
        *(sign_state(a_sign_in(), KeyRing.from_keys([OLD])), state.replace(".", "\uff0e"), full.replace(".", "..", 1)),
        f"{identifier}.{full.split('.')[1]}.{date}.{signature}",
    ):
        assert read(text) == StateInvalid(), text
    for whole in (state, full):
        assert isinstance(read(whole), StateOk)


@given(
    st.text(max_size=100) | st.from_regex(r"[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{1,11}\.[A-Za-z0-9_-]{43}", fullmatch=True)
)
def test_no_text_makes_reading_a_state_raise(text: str) -> None:
    assert read(text) == StateInvalid()
