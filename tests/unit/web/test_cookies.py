"""Cookies on the wire: read byte for byte, written in full; and what a session cookie says of a request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.base64url import decode_base64url, encode_base64url
from bff.session.keyring import KeyRing, new_key, new_session_id
from bff.session.login_transaction import SLOTS, begin, seal_transaction
from bff.session.sign_in_intent import SignInIntent
from bff.web.auth import loop_guard
from bff.web.browser_id import browser_id_hash, hash_browser_id, new_browser_id
from bff.web.cookies import (
    ALL_COOKIES_BYTES,
    VALUE_LIMIT,
    Absent,
    Cookie,
    CookieNames,
    Repeated,
    login_cookies,
    read_cookies,
    slot_suffix,
)
from bff.web.session_cookies import (
    Anonymous,
    CurrentSession,
    DuplicateCookie,
    KeyRemoved,
    SessionCookies,
    SignedIn,
    seal_session_cookie,
)

NAMES = CookieNames(secure=True)
OLD, NEW = b"\x01" * 31 + b"o", b"\x02" * 31 + b"n"
RING = KeyRing.from_keys([NEW])


def cookie(line: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"app.example"), (b"cookie", line)]


def session_of(headers: list[tuple[bytes, bytes]], ring: KeyRing = RING, names: CookieNames = NAMES) -> CurrentSession:
    return SessionCookies(ring, names).read(headers)


def read(line: bytes) -> object:
    return read_cookies(cookie(line), "__Host-s")


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [b"__Host-s=good", b"a=1; __Host-s=good", b"a=1;__Host-s=good\t;b", b" \t__Host-s=good \t", b";;__Host-s=good;"],
)
def test_our_cookie_is_found_among_others(line: bytes) -> None:
    assert read(line) == Cookie("good")


def test_every_cookie_header_counts_whatever_its_case() -> None:
    headers = [(b"cookie", b"a=1"), (b"Cookie", b"__Host-s=good")]
    assert read_cookies(headers, "__Host-s") == Cookie("good")
    assert read_cookies([], "__Host-s") == Absent()


@pytest.mark.parametrize(
    ("case", "line"),
    [
        ("CK-021", b"s=evil"),
        ("CK-021", b"Host-s=evil; -s=evil; __Secure-s=evil; __host-s=evil; __HOST-S=evil; __Host-s2=evil"),
        ("CK-022", b"\xa0__Host-s=evil"),
        ("CK-022", b"\x85__Host-s=evil; \x0b__Host-s=evil; \x0c__Host-s=evil; __Host-s\xa0=evil; __Host-s =evil"),
        ("CK-026", b"__Host-s"),
        ("CK-026", b"a; __Host-s; =evil; =__Host-s=evil"),
        ("CK-028", b'__Host-s="\\145vil"'),
        ("CK-028", b'__Host-s="evil"'),
        ("CK-028", b"__Host-s=%65vil"),
        ("CK-029", b"a=1, __Host-s=evil"),
        ("CK-029", b"__Host-s=evil, b=1"),
        ("CK-030", b"__Host-s=ab\x00cd"),
        ("CK-030", b"__Host-s=ab\rcd"),
        ("CK-030", b"__Host-s=ab\ncd"),
        ("CK-030", b"__Host-s=abcd\n"),
        ("CK-030", b"__Host-s=ab\xe9cd"),
        ("CK-030", b"__Host-s="),
    ],
)
def test_what_is_not_exactly_our_cookie_is_not_there(case: str, line: bytes) -> None:
    assert read(line) == Absent()


@pytest.mark.parametrize("case", ["CK-022"])
@pytest.mark.parametrize("byte", [b"\xa0", b"\x85", b"\x1c", b"\x0b"])
def test_a_name_behind_a_foreign_space_does_not_override_ours(case: str, byte: bytes) -> None:
    assert read(b"__Host-s=good; " + byte + b"__Host-s=evil") == Cookie("good")


@pytest.mark.parametrize(
    "headers",
    [
        cookie(b"__Host-s=good; __Host-s=evil"),
        cookie(b"__Host-s=good; a=1; __Host-s=good"),
        cookie(b"__Host-s=good; __Host-s="),
        cookie(b'__Host-s="x"; __Host-s=good'),
        [*cookie(b"__Host-s=good"), *cookie(b"__Host-s=evil")],
    ],
)
def test_our_name_twice_is_neither_first_nor_last_wins(headers: list[tuple[bytes, bytes]]) -> None:
    assert read_cookies(headers, "__Host-s") == Repeated()


@pytest.mark.parametrize("case", ["CK-026"])
def test_a_nameless_cookie_that_reads_like_our_name_is_not_a_second_one(case: str) -> None:
    assert read(b"__Host-s; __Host-s=good") == Cookie("good")


def test_a_value_longer_than_any_browser_keeps_is_not_ours() -> None:
    assert read(b"__Host-s=" + b"a" * VALUE_LIMIT) == Cookie("a" * VALUE_LIMIT)
    assert read(b"__Host-s=" + b"a" * (VALUE_LIMIT + 1)) == Absent()


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_no_bytes_make_reading_raise(lines: list[bytes]) -> None:
    headers = [(b"cookie", line) for line in lines]
    assert isinstance(session_of(headers), Anonymous)
    assert browser_id_hash(headers, NAMES) is None
    login_cookies(headers, NAMES)


# --- writing ---------------------------------------------------------------------------------------------------------


def test_the_cookies_are_written_with_every_attribute() -> None:
    assert NAMES.set_session("v") == (
        b"set-cookie",
        b"__Host-Http-session=v; Path=/; HttpOnly; SameSite=Strict; Secure",
    )
    assert NAMES.set_browser_id("v")[1] == (
        b"__Host-Http-browser=v; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=34560000"
    )
    assert NAMES.set_sign_out("v", lifetime=60)[1] == (
        b"__Host-Http-sign-out=v; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=60"
    )
    assert NAMES.set_login("abc", "v", lifetime=600)[1] == (
        b"__Host-Http-login-abc=v; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=600"
    )
    assert NAMES.set_login("abc", "v", lifetime=600, form_post=True)[1] == (
        b"__Host-Http-login-abc=v; Path=/; HttpOnly; SameSite=None; Secure; Max-Age=600"
    )


def test_without_https_the_cookies_drop_prefix_and_secure() -> None:
    names = CookieNames(secure=False)
    assert names.set_session("v")[1] == b"bff-session=v; Path=/; HttpOnly; SameSite=Strict"
    assert names.set_browser_id("v")[1] == b"bff-browser=v; Path=/; HttpOnly; SameSite=Lax; Max-Age=34560000"
    assert names.set_login("a", "v", lifetime=6)[1] == b"bff-login-a=v; Path=/; HttpOnly; SameSite=Lax; Max-Age=6"
    assert names.set_login("a", "v", lifetime=6, form_post=True)[1].endswith(b"SameSite=None; Secure; Max-Age=6")


def test_clearing_repeats_the_attributes_or_the_prefix_would_make_the_browser_ignore_it() -> None:
    assert NAMES.clear_session()[1] == b"__Host-Http-session=; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=0"
    assert NAMES.clear_sign_out()[1] == b"__Host-Http-sign-out=; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=0"
    assert NAMES.clear_login("a")[1] == b"__Host-Http-login-a=; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=0"
    assert NAMES.clear_login("a", form_post=True)[1].count(b"SameSite=None; Secure") == 1


@pytest.mark.parametrize("case", ["CK-047"])
def test_the_session_cookie_leaves_expiry_to_the_server(case: str) -> None:
    header = NAMES.set_session("v")[1].lower()
    assert b"expires" not in header
    assert b"max-age" not in header


@pytest.mark.parametrize("value", ["a b", "a;b", "a\r\nSet-Cookie: x=y", "é", '"a"', "a" * (VALUE_LIMIT + 1)])
def test_a_value_we_could_not_read_back_is_never_written(value: str) -> None:
    with pytest.raises(ValueError):
        NAMES.set_session(value)


@pytest.mark.parametrize("transaction_id", ["", "a;b", "a=b", "é", "a\n", "x" * 65])
def test_an_id_that_could_bend_the_header_names_no_cookie(transaction_id: str) -> None:
    with pytest.raises(ValueError):
        NAMES.login(transaction_id)


# --- the session cookie ----------------------------------------------------------------------------------------------


def session_line(value: str) -> list[tuple[bytes, bytes]]:
    return cookie(b"__Host-Http-session=" + value.encode())


def test_the_session_cookie_gives_back_the_session_id() -> None:
    session_id = new_session_id()
    value = seal_session_cookie(session_id, RING)
    assert session_of(session_line(value)) == SignedIn(session_id, reseal=False)
    assert session_id.secret not in (decode_base64url(value) or b"")


def test_under_an_older_key_it_still_does_and_asks_to_be_sealed_again() -> None:
    session_id = new_session_id()
    value = seal_session_cookie(session_id, KeyRing.from_keys([OLD]))
    rolled = KeyRing.from_keys([NEW, OLD])
    assert session_of(session_line(value), rolled) == SignedIn(session_id, reseal=True)


def test_a_removed_key_is_said_to_be_one() -> None:
    value = seal_session_cookie(new_session_id(), KeyRing.from_keys([OLD]))
    assert session_of(session_line(value)) == KeyRemoved()


def test_without_a_cookie_nobody_is_signed_in_and_with_two_the_request_is_refused() -> None:
    line = session_line(seal_session_cookie(new_session_id(), RING))
    assert session_of([]) == Anonymous()
    assert session_of([*line, *line]) == DuplicateCookie()
    assert session_of(line, RING, CookieNames(secure=False)) == Anonymous()


@pytest.mark.parametrize("case", ["CK-005"])
def test_a_value_sealed_for_another_purpose_is_no_session(case: str) -> None:
    transaction = begin(now=0, provider="p" * 16, intent=SignInIntent())
    for value in (
        seal_transaction(transaction, RING),
        RING.seal_text("csrf", b"x" * 32),
        RING.seal_text("session-cookie", b"x" * 31),
        new_browser_id(),
    ):
        assert session_of(session_line(value)) == Anonymous()


@pytest.mark.parametrize("case", ["CK-010"])
def test_a_cookie_of_a_future_version_is_no_session(case: str) -> None:
    sealed = decode_base64url(seal_session_cookie(new_session_id(), RING))
    assert sealed is not None
    assert session_of(session_line(encode_base64url(b"\x02" + sealed[1:]))) == Anonymous()


@pytest.mark.parametrize("case", ["CK-032", "CK-033"])
def test_there_are_no_chunks_to_count_or_to_mix(case: str) -> None:
    one, other = (seal_session_cookie(new_session_id(), RING) for _ in range(2))
    assert len(one) == len(other) == 87  # one size, whatever the tokens weigh
    for line in (
        f"__Host-Http-session.0={one[:40]}; __Host-Http-session.1={other[40:]}",
        f"__Host-Http-session_chunks=99999999; __Host-Http-session.0={one}",
        f"__Host-Http-session={one[:40]}{other[40:]}",
    ):
        assert session_of(cookie(line.encode())) == Anonymous()


# --- the companion cookie --------------------------------------------------------------------------------------------


def test_a_browser_is_known_by_the_hash_of_its_companion_cookie() -> None:
    value = new_browser_id()
    line = b"__Host-Http-browser=" + value.encode()
    assert browser_id_hash(cookie(line), NAMES) == hash_browser_id(value) != value
    assert browser_id_hash(cookie(line + b"; " + line), NAMES) is None
    assert browser_id_hash(cookie(line + b"A"), NAMES) is None
    assert browser_id_hash(cookie(b"__Host-Http-browser=short"), NAMES) is None
    assert browser_id_hash([], NAMES) is None


# --- sign-ins under way ----------------------------------------------------------------------------------------------


def test_login_cookies_are_found_by_their_prefix() -> None:
    line = b"a=1; __Host-Http-login-1=v1; __Host-Http-login-=x; __Host-Http-login-\xe9=x; __Host-Http-login-old=\x00"
    assert login_cookies(cookie(line), NAMES) == {"1": "v1", "old": None}
    twice = cookie(b"__Host-Http-login-1=v1; __Host-Http-login-1=v2")
    assert login_cookies(twice, NAMES) == {"1": None}


def test_all_of_ours_together_leave_room_in_a_header_line() -> None:
    transaction = begin(now=1e9, provider="p" * 16, intent=SignInIntent(), browser="h" * 42 + "g")
    sealed = seal_transaction(transaction, RING)
    attempts = RING.seal_text(loop_guard.PURPOSE, bytes(loop_guard.LONGEST))
    pairs = [f"{NAMES.login(slot_suffix(slot))}={sealed}" for slot in range(SLOTS)]
    pairs += [f"{NAMES.session}={seal_session_cookie(new_session_id(), RING)}", f"{NAMES.attempts}={attempts}"]
    pairs += [f"{NAMES.browser}={new_browser_id()}"]
    pairs += [f"{NAMES.sign_out}={RING.seal_text('sign-out-cookie', new_browser_id().encode())}"]
    assert len("; ".join(pairs)) < ALL_COOKIES_BYTES


def test_what_a_431_clears_is_what_was_sent_and_never_the_session() -> None:
    line = "; ".join(f"{name}=x" for name in (NAMES.session, NAMES.browser, NAMES.attempts, "theirs"))
    sent = cookie(f"{line}; {NAMES.login('3')}=x; {NAMES.login('3')}=y; {NAMES.login_prefix}\xff=z".encode("latin-1"))
    cleared = [value.decode().partition("=")[0] for _, value in NAMES.clear_sign_ins(sent)]
    assert cleared == [NAMES.attempts, NAMES.login("3")]
    assert NAMES.clear_sign_ins([]) == []


# --- the session cookie on the paths of every click ------------------------------------------------------------------


def test_a_cookie_that_was_opened_before_is_the_same_session_and_no_other_is() -> None:
    cookies = SessionCookies(RING, NAMES)
    first, second = new_session_id(), new_session_id()
    values = [seal_session_cookie(each, RING) for each in (first, second)]
    for _ in range(2):
        assert [cookies.read(session_line(value)) for value in values] == [
            SignedIn(first, reseal=False),
            SignedIn(second, reseal=False),
        ]
    assert cookies.read([*session_line(values[0]), *session_line(values[0])]) == DuplicateCookie()
    assert cookies.read(session_line(values[0][:40] + values[1][40:])) == Anonymous()
    assert cookies.read([]) == Anonymous()


def test_a_cookie_that_was_opened_before_is_judged_by_the_keys_of_now() -> None:
    old, new = new_key(), new_key()
    ring, session_id = KeyRing.from_keys([old]), new_session_id()
    cookies, line = SessionCookies(ring, NAMES), session_line(seal_session_cookie(session_id, ring))
    assert cookies.read(line) == SignedIn(session_id, reseal=False)
    ring.replace_keys([new, old])
    assert cookies.read(line) == SignedIn(session_id, reseal=True)
    ring.replace_keys([new])
    assert cookies.read(line) == KeyRemoved()
    ring.replace_keys([old])
    assert cookies.read(line) == SignedIn(session_id, reseal=False)


def test_only_so_many_opened_cookies_are_kept() -> None:
    cookies = SessionCookies(RING, NAMES, max_opened=2)
    for session_id in (new_session_id() for _ in range(5)):
        assert cookies.read(session_line(seal_session_cookie(session_id, RING))) == SignedIn(session_id, reseal=False)
    assert len(cookies._opened) == 2
