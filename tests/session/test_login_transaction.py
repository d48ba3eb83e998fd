"""The sign-in under way: its cookie, its `state`, and what becomes of both when they are bent."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.oidc.authorization import SignInOptions
from bff.session.login_transaction import (
    CLOCK_SKEW,
    PURPOSE,
    LoginTransaction,
    StateExpired,
    StateInvalid,
    StateOk,
    begin,
    open_transaction,
    read_state,
    seal_transaction,
    sign_state,
)
from bff.session.sealing import KeyRing, Unreadable

OLD, NEW = b"\x01" * 31 + b"o", b"\x02" * 31 + b"n"
RING = KeyRing.from_keys([NEW])
NOW = 1_800_000_000.75
LIFETIME = 600


def a_sign_in(**changes: object) -> LoginTransaction:
    started = begin(
        now=NOW,
        return_to="/orders?x=1#é",
        issuer="https://example.okta.com",
        redirect_uri="https://app.example/authorization-code/callback",
        options=SignInOptions("login", 0, ("urn:okta:loa:2fa:any",), idp="0oa1"),
        browser="h" * 43,
    )
    return replace(started, **changes)  # type: ignore[arg-type]


def test_a_sign_in_is_random_in_everything_that_must_be() -> None:
    first, second = a_sign_in(), a_sign_in()
    assert len({first.id, first.nonce, first.code_verifier, second.id, second.nonce, second.code_verifier}) == 6
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", first.id)
    assert re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", first.code_verifier)  # RFC 7636 section 4.1


def test_the_cookie_gives_back_what_was_begun() -> None:
    transaction = a_sign_in()
    assert open_transaction(seal_transaction(transaction, RING), transaction.id, RING) == transaction


def test_the_verifier_and_the_nonce_are_in_no_repr_and_not_readable_in_the_cookie() -> None:
    transaction = a_sign_in()
    for text in (repr(transaction), seal_transaction(transaction, RING)):
        assert transaction.code_verifier not in text
        assert transaction.nonce not in text


def test_the_cookie_of_one_sign_in_serves_no_other() -> None:
    mine, yours = a_sign_in(), a_sign_in()
    assert open_transaction(seal_transaction(mine, RING), yours.id, RING) == Unreadable("invalid")


@pytest.mark.parametrize("case", ["CK-005"])
def test_a_value_sealed_for_another_cookie_opens_here_for_nobody(case: str) -> None:
    transaction = a_sign_in()
    session_cookie = RING.seal_text("session-cookie", b"x" * 32)
    assert open_transaction(session_cookie, transaction.id, RING) == Unreadable("invalid")


def test_a_sign_in_begun_before_the_key_was_rolled_ends_after_it() -> None:
    before, after = KeyRing.from_keys([OLD]), KeyRing.from_keys([NEW, OLD])
    transaction = a_sign_in()
    assert open_transaction(seal_transaction(transaction, before), transaction.id, after) == transaction
    state = sign_state(transaction, before)
    assert read_state(state, after, now=NOW, lifetime=LIFETIME) == StateOk(transaction.id)
    assert read_state(state, KeyRing.from_keys([NEW]), now=NOW, lifetime=LIFETIME) == StateInvalid()
    assert open_transaction(seal_transaction(transaction, before), transaction.id, RING) == Unreadable("unknown_key")


def test_a_cookie_that_a_neighbouring_build_wrote_is_read_as_far_as_it_can_be() -> None:
    transaction = a_sign_in()

    def written(**changes: object) -> str:
        plain = json.loads(
            RING.open_text(PURPOSE, seal_transaction(transaction, RING), transaction.id.encode()).plaintext
        )  # type: ignore[union-attr]
        record = {name: value for name, value in {**plain, **changes}.items() if value is not ...}
        return RING.seal_text(PURPOSE, json.dumps(record).encode(), transaction.id.encode())

    assert open_transaction(written(field_of_tomorrow=1), transaction.id, RING) == transaction
    assert open_transaction(written(restarts=...), transaction.id, RING) == transaction
    for other in ({"v": 2}, {"v": ...}, {"nonce": ...}, {"acr_values": 1}, {"id": "x"}):
        assert open_transaction(written(**other), transaction.id, RING) == Unreadable("invalid")
    for plaintext in (b"[]", b"null", b"{", b"\xff", b""):
        text = RING.seal_text(PURPOSE, plaintext, transaction.id.encode())
        assert open_transaction(text, transaction.id, RING) == Unreadable("invalid")


def test_the_state_is_written_in_the_alphabet_that_okta_allows() -> None:
    for _ in range(200):
        assert re.fullmatch(r"[A-Za-z0-9,._-]{73}", sign_state(a_sign_in(), RING))


def test_the_state_is_good_for_its_lifetime_and_then_expired() -> None:
    transaction = a_sign_in()
    state = sign_state(transaction, RING)
    for now in (NOW, NOW + LIFETIME - 1, NOW - 120, NOW - CLOCK_SKEW):
        assert read_state(state, RING, now=now, lifetime=LIFETIME) == StateOk(transaction.id)
    for now in (NOW + LIFETIME + 1, NOW + 10**9, NOW - CLOCK_SKEW - 1):
        assert read_state(state, RING, now=now, lifetime=LIFETIME) == StateExpired(transaction.id)


def test_no_other_text_than_the_one_that_was_signed_is_a_state() -> None:
    state = sign_state(a_sign_in(), RING)
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
        f"{identifier}.{sign_state(a_sign_in(started_at=NOW + 600), RING).split('.')[1]}.{signature}",
        sign_state(a_sign_in(), KeyRing.from_keys([OLD])),
        state.replace(".", "\uff0e"),
        state * 1000,
    ]
    for text in bent:
        assert read_state(text, RING, now=NOW, lifetime=LIFETIME) == StateInvalid(), text
    assert isinstance(read_state(state, RING, now=NOW, lifetime=LIFETIME), StateOk)


@given(
    st.text(max_size=100) | st.from_regex(r"[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{1,11}\.[A-Za-z0-9_-]{43}", fullmatch=True)
)
def test_no_text_makes_reading_a_state_raise(text: str) -> None:
    assert read_state(text, RING, now=NOW, lifetime=LIFETIME) == StateInvalid()
