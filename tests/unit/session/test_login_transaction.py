"""The sign-in under way: its cookie, its `state`, and what becomes of both when they are bent."""

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

OLD, NEW = b"\x01" * 31 + b"o", b"\x02" * 31 + b"n"
RING = KeyRing.from_keys([NEW])
NOW = 1_800_000_000.75
LIFETIME = 600
PROVIDER = provider_fingerprint("https://example.okta.com", "https://app.example/authorization-code/callback")
INTENT = SignInIntent(
    return_to="/orders?x=1#y",
    prompt="login",
    max_age=0,
    acr_values=("urn:okta:loa:2fa:any",),
    idp="0oa1",
    restarts=1,
)


def a_sign_in(**changes: object) -> LoginTransaction:
    started = begin(now=NOW, provider=PROVIDER, intent=INTENT, browser="h" * 42 + "g")
    return replace(started, **changes)  # type: ignore[arg-type]


def test_a_sign_in_is_random_in_everything_that_must_be() -> None:
    first, second = a_sign_in(), a_sign_in()
    assert len({first.id, first.nonce, first.code_verifier, second.id, second.nonce, second.code_verifier}) == 6
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", first.id)
    assert re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", first.code_verifier)  # RFC 7636 section 4.1


def test_the_cookie_and_the_state_together_give_back_what_was_begun() -> None:
    for transaction in (a_sign_in(), a_sign_in(browser=None, intent=SignInIntent())):
        opened = open_transaction(seal_transaction(transaction, RING), transaction.slot, RING)
        assert isinstance(opened, LoginTransaction)
        read = read_state(sign_state(transaction, RING), RING, now=NOW, lifetime=LIFETIME)
        assert isinstance(read, StateOk)
        assert with_intent(opened, read.intent) == transaction
        assert (opened.nonce, opened.code_verifier) == (transaction.nonce, transaction.code_verifier)
    assert INTENT.options == SignInOptions("login", 0, ("urn:okta:loa:2fa:any",), idp="0oa1")


def test_the_cookie_has_one_size_whatever_was_wanted() -> None:
    wanted = SignInIntent(return_to="/" + "x" * (LENGTH_LIMIT - 1))
    sizes = {
        len(seal_transaction(transaction, RING))
        for transaction in (a_sign_in(), a_sign_in(browser=None), a_sign_in(intent=wanted))
    }
    assert len(sizes) == 1


def test_the_slot_is_part_of_the_id() -> None:
    for slot in range(SLOTS):
        assert slot_of(begin(now=NOW, provider=PROVIDER, intent=INTENT, slot=slot).id) == slot
    assert {a_sign_in().slot for _ in range(500)} == set(range(SLOTS))


def test_the_verifier_and_the_nonce_are_in_no_repr_and_not_readable_in_the_cookie() -> None:
    transaction = a_sign_in()
    for text in (repr(transaction), seal_transaction(transaction, RING), sign_state(transaction, RING)):
        assert transaction.code_verifier not in text
        assert transaction.nonce not in text
        assert repr(transaction.secret) not in text


def test_where_a_person_goes_is_not_readable_in_the_state() -> None:
    assert "orders" not in sign_state(a_sign_in(), RING)


def test_the_cookie_of_one_slot_serves_no_other() -> None:
    mine = a_sign_in()
    for slot in set(range(SLOTS)) - {mine.slot}:
        assert open_transaction(seal_transaction(mine, RING), slot, RING) == Unreadable("invalid")


@pytest.mark.parametrize("case", ["CK-005"])
def test_a_value_sealed_for_another_cookie_opens_here_for_nobody(case: str) -> None:
    transaction = a_sign_in()
    session_cookie = RING.seal_text("session-cookie", b"x" * 32)
    assert open_transaction(session_cookie, transaction.slot, RING) == Unreadable("invalid")


def test_a_sign_in_begun_before_the_key_was_rolled_ends_after_it() -> None:
    before, after = KeyRing.from_keys([OLD]), KeyRing.from_keys([NEW, OLD])
    transaction = a_sign_in()
    slot, cookie, state = transaction.slot, seal_transaction(transaction, before), sign_state(transaction, before)
    opened = open_transaction(cookie, slot, after)
    assert isinstance(opened, LoginTransaction)
    assert with_intent(opened, INTENT) == transaction
    assert read_state(state, after, now=NOW, lifetime=LIFETIME) == StateOk(transaction.id, INTENT)
    assert read_state(state, KeyRing.from_keys([NEW]), now=NOW, lifetime=LIFETIME) == StateInvalid()
    assert open_transaction(cookie, slot, RING) == Unreadable("unknown_key")


def test_a_cookie_that_we_sealed_in_another_form_is_none() -> None:
    """Whatever a neighbouring build seals for this purpose: it is no error, and the sign-in begins afresh."""
    transaction = a_sign_in()
    opened = RING.open_text(PURPOSE, seal_transaction(transaction, RING), bytes([transaction.slot]))
    assert isinstance(opened, Opened)
    whole = opened.plaintext
    bent = [b"", whole[:-1], whole + b"x", b"{}", bytes([whole[0] ^ 0x80]) + whole[1:]]
    bent += [whole[:48] + struct.pack(">d", at) + whole[56:] for at in (float("nan"), float("inf"), -1.0)]
    for plaintext in bent:
        text = RING.seal_text(PURPOSE, plaintext, bytes([transaction.slot]))
        assert open_transaction(text, transaction.slot, RING) == Unreadable("invalid")


@pytest.mark.parametrize(
    "written",
    [
        b"[]",
        b"null",
        b"{",
        b"\xff",
        b'"x"',
        b'{"return_to":1}',
        b'{"return_to":null}',
        b'{"max_age":"1"}',
        b'{"max_age":true}',
        b'{"max_age":1.5}',
        b'{"acr_values":"phr"}',
        b'{"acr_values":[1]}',
        b'{"acr_values":{}}',
        b'{"restarts":"0"}',
        b'{"restarts":[]}',
        b'{"prompt":["login"]}',
    ],
)
def test_a_state_of_wrong_types_is_none(written: bytes) -> None:
    assert read(written) == StateInvalid()


def test_a_state_of_a_newer_build_is_read_as_far_as_it_can_be() -> None:
    expected = SignInIntent(return_to="/x")
    assert read(b'{"return_to":"/x","field_of_tomorrow":{"a":1}}') == StateOk("A" * 22, expected)


def read(written: bytes) -> object:
    sealed = RING.seal_text(INTENT_PURPOSE, written, b"A" * 22)
    unsigned = a_sign_in(id="A" * 22, intent=SignInIntent())
    signer = replace(unsigned, id=f"{unsigned.id}.{sealed}")  # signed as it is, not sealed again
    return read_state(sign_state(signer, RING), RING, now=NOW, lifetime=LIFETIME)


def test_the_intent_of_one_state_serves_no_other() -> None:
    mine, yours = a_sign_in(), a_sign_in()
    sealed = sign_state(yours, RING).split(".")[1]
    bent = sign_state(replace(mine, id=f"{mine.id}.{sealed}", intent=SignInIntent()), RING)
    assert read_state(bent, RING, now=NOW, lifetime=LIFETIME) == StateInvalid()


def test_the_longest_address_fits_into_a_state_that_is_read_back() -> None:
    intent = replace(INTENT, return_to="/" + "x" * (LENGTH_LIMIT - 1))
    assert fits_into_state(intent)
    while fits_into_state(replace(intent, idp=(intent.idp or "") + "x")):
        intent = replace(intent, idp=(intent.idp or "") + "x")
    state = sign_state(a_sign_in(intent=intent), RING)
    assert len(state) <= MAX_LENGTHS["state"]
    read = read_state(state, RING, now=NOW, lifetime=LIFETIME)
    assert isinstance(read, StateOk)
    assert read.intent == intent


def test_the_state_is_written_in_the_alphabet_that_okta_allows() -> None:
    for _ in range(200):
        assert re.fullmatch(r"[A-Za-z0-9,._-]{73}", sign_state(a_sign_in(intent=SignInIntent()), RING))
        assert re.fullmatch(r"[A-Za-z0-9,._-]{74,}", sign_state(a_sign_in(), RING))


def test_the_state_is_good_for_its_lifetime_and_then_expired() -> None:
    transaction = a_sign_in()
    state = sign_state(transaction, RING)
    for now in (NOW, NOW + LIFETIME - 1, NOW - 120, NOW - CLOCK_SKEW):
        assert read_state(state, RING, now=now, lifetime=LIFETIME) == StateOk(transaction.id, INTENT)
    for now in (NOW + LIFETIME + 1, NOW + 10**9, NOW - CLOCK_SKEW - 1):
        assert read_state(state, RING, now=now, lifetime=LIFETIME) == StateExpired(transaction.id, INTENT)


def test_no_other_text_than_the_one_that_was_signed_is_a_state() -> None:
    state = sign_state(a_sign_in(intent=SignInIntent()), RING)
    identifier, date, signature = state.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = signature[:-1] + alphabet[alphabet.index(signature[-1]) ^ 1]  # spare bits of the last character
    bent = [
        "",
        ".",
        "..",
        state + "x",
        state[:-1],
        state + "=",
        state + "\n",
        f"{identifier}.{date}.{twin}",
        f"{identifier}.{date}.{signature[:20]}!{signature[20:]}",
        f"{identifier}.{date}",
        f"{identifier}..{signature}",
        f"{identifier}.{date}.{date}.{signature}",
        f"{a_sign_in().id}.{date}.{signature}",
        f"{identifier}.{sign_state(a_sign_in(started_at=NOW + 600), RING).split('.')[2]}.{signature}",
        sign_state(a_sign_in(), KeyRing.from_keys([OLD])),
        state.replace(".", "\uff0e"),
        state * 1000,
        sign_state(a_sign_in(), RING).replace(".", "..", 1),
        f"{identifier}.{sign_state(a_sign_in(), RING).split('.')[1]}.{date}.{signature}",
    ]
    for text in bent:
        assert read_state(text, RING, now=NOW, lifetime=LIFETIME) == StateInvalid(), text
    for whole in (state, sign_state(a_sign_in(), RING)):
        assert isinstance(read_state(whole, RING, now=NOW, lifetime=LIFETIME), StateOk)


@given(
    st.text(max_size=100) | st.from_regex(r"[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{1,11}\.[A-Za-z0-9_-]{43}", fullmatch=True)
)
def test_no_text_makes_reading_a_state_raise(text: str) -> None:
    assert read_state(text, RING, now=NOW, lifetime=LIFETIME) == StateInvalid()
