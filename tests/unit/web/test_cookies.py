"""Cookies on the wire: read byte for byte, and written with every attribute."""

import pytest

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
from bff.web.session_cookies import seal_session_cookie

NAMES, PLAIN = CookieNames(secure=True), CookieNames(secure=False)
RING = KeyRing.from_keys([new_key()])
Headers = list[tuple[bytes, bytes]]


def cookie(line: bytes) -> Headers:
    return [(b"host", b"app.example"), (b"cookie", line)]


@pytest.mark.parametrize(
    "headers",
    [
        *(
            cookie(line)
            for line in (
                *(b"__Host-s=good", b"a=1; __Host-s=good", b"a=1;__Host-s=good\t;b", b" \t__Host-s=good \t"),
                *(b";;__Host-s=good;", b"__Host-s; __Host-s=good"),
                *(b"__Host-s=good; " + byte + b"__Host-s=evil" for byte in (b"\xa0", b"\x85", b"\x1c", b"\x0b")),
            )
        ),
        [(b"cookie", b"a=1"), (b"Cookie", b"__Host-s=good")],
    ],
)
def test_our_cookie_is_found_among_others(headers: Headers) -> None:
    assert read_cookies(headers, "__Host-s") == Cookie("good")


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(line, id=f"{case}-{line!r}")
        for case, lines in {
            "CK-021": (b"s=evil", b"Host-s=evil; __Secure-s=evil; __host-s=evil; __HOST-S=evil; __Host-s2=evil"),
            "CK-022": (
                b"\xa0__Host-s=evil",
                b"\x85__Host-s=evil; \x0b__Host-s=evil; \x0c__Host-s=evil; __Host-s\xa0=evil; __Host-s =evil",
            ),
            "CK-026": (b"__Host-s", b"a; __Host-s; =evil; =__Host-s=evil"),
            "CK-028": (b'__Host-s="\\145vil"', b'__Host-s="evil"', b"__Host-s=%65vil"),
            "CK-029": (b"a=1, __Host-s=evil", b"__Host-s=evil, b=1"),
            "CK-030": tuple(
                b"__Host-s=" + bad for bad in (b"ab\x00cd", b"ab\rcd", b"ab\ncd", b"abcd\n", b"ab\xe9cd", b"")
            ),
            "size": (b"__Host-s=" + b"a" * (VALUE_LIMIT + 1),),
        }.items()
        for line in lines
    ],
)
def test_what_is_not_exactly_our_cookie_is_absent(line: bytes) -> None:
    assert read_cookies(cookie(line), "__Host-s") == Absent()


@pytest.mark.parametrize(
    "headers",
    [
        *(
            cookie(line)
            for line in (
                *(b"__Host-s=good; __Host-s=evil", b"__Host-s=good; a=1; __Host-s=good", b"__Host-s=good; __Host-s="),
                b'__Host-s="x"; __Host-s=good',
            )
        ),
        [*cookie(b"__Host-s=good"), *cookie(b"__Host-s=evil")],
    ],
)
def test_our_name_twice_is_neither_the_first_nor_the_last(headers: Headers) -> None:
    assert read_cookies(headers, "__Host-s") == Repeated()


def test_the_longest_value_of_a_browser_is_read() -> None:
    assert read_cookies(cookie(b"__Host-s=" + b"a" * VALUE_LIMIT), "__Host-s") == Cookie("a" * VALUE_LIMIT)


STRICT, LAX = "Path=/; HttpOnly; SameSite=Strict", "Path=/; HttpOnly; SameSite=Lax"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (NAMES.set_session("v"), f"__Host-Http-session=v; {STRICT}; Secure"),
        (NAMES.clear_session(), f"__Host-Http-session=; {STRICT}; Secure; Max-Age=0"),
        (NAMES.set_browser_id("v"), f"__Host-Http-browser=v; {LAX}; Secure; Max-Age=34560000"),
        (NAMES.set_attempts("v", lifetime=60), f"__Host-Http-attempts=v; {LAX}; Secure; Max-Age=60"),
        (NAMES.set_sign_out("v", lifetime=60), f"__Host-Http-sign-out=v; {STRICT}; Secure; Max-Age=60"),
        (NAMES.clear_sign_out(), f"__Host-Http-sign-out=; {STRICT}; Secure; Max-Age=0"),
        (NAMES.set_login("abc", "v", lifetime=600), f"__Host-Http-login-abc=v; {LAX}; Secure; Max-Age=600"),
        (
            NAMES.set_login("abc", "v", lifetime=600, form_post=True),
            "__Host-Http-login-abc=v; Path=/; HttpOnly; SameSite=None; Secure; Max-Age=600",
        ),
        (NAMES.clear_login("a"), f"__Host-Http-login-a=; {LAX}; Secure; Max-Age=0"),
        (
            NAMES.clear_login("a", form_post=True),
            "__Host-Http-login-a=; Path=/; HttpOnly; SameSite=None; Secure; Max-Age=0",
        ),
        (PLAIN.set_session("v"), f"bff-session=v; {STRICT}"),
        (PLAIN.set_browser_id("v"), f"bff-browser=v; {LAX}; Max-Age=34560000"),
        (PLAIN.set_login("a", "v", lifetime=6), f"bff-login-a=v; {LAX}; Max-Age=6"),
        (
            PLAIN.set_login("a", "v", lifetime=6, form_post=True),
            "bff-login-a=v; Path=/; HttpOnly; SameSite=None; Secure; Max-Age=6",
        ),
    ],
)
@pytest.mark.case("CK-047")
def test_a_cookie_is_written_with_every_attribute(header: tuple[bytes, bytes], expected: str) -> None:
    assert header == (b"set-cookie", expected.encode())


@pytest.mark.parametrize("value", ["a b", "a;b", "a\r\nSet-Cookie: x=y", "é", '"a"', "a" * (VALUE_LIMIT + 1)])
def test_a_value_that_could_not_be_read_back_is_never_written(value: str) -> None:
    with pytest.raises(ValueError, match="not a value for the cookie"):
        NAMES.set_session(value)


@pytest.mark.parametrize("suffix", ["", "a;b", "a=b", "é", "a\n", "x" * 65])
def test_a_suffix_that_could_change_the_header_names_no_cookie(suffix: str) -> None:
    with pytest.raises(ValueError, match="not the name of a login cookie"):
        NAMES.login(suffix)


def test_a_browser_is_known_by_the_hash_of_its_cookie() -> None:
    value = new_browser_id()
    line = b"__Host-Http-browser=" + value.encode()
    assert browser_id_hash(cookie(line), NAMES) == hash_browser_id(value) != value
    for wrong in (line + b"; " + line, line + b"A", b"__Host-Http-browser=short", b""):
        assert browser_id_hash(cookie(wrong), NAMES) is None


def test_login_cookies_are_found_by_their_prefix() -> None:
    line = b"a=1; __Host-Http-login-1=v1; __Host-Http-login-=x; __Host-Http-login-\xe9=x; __Host-Http-login-old=\x00"
    assert login_cookies(cookie(line), NAMES) == {"1": "v1", "old": None}
    assert login_cookies(cookie(b"__Host-Http-login-1=v1; __Host-Http-login-1=v2"), NAMES) == {"1": None}


def test_all_cookies_together_leave_room_in_a_header_line() -> None:
    transaction = begin(now=1e9, provider="p" * 16, intent=SignInIntent(), browser="h" * 42 + "g")
    pairs = {
        **{NAMES.login(slot_suffix(slot)): seal_transaction(transaction, RING) for slot in range(SLOTS)},
        NAMES.session: seal_session_cookie(new_session_id(), RING),
        NAMES.attempts: RING.seal_text(loop_guard.PURPOSE, bytes(loop_guard.LONGEST)),
        NAMES.browser: new_browser_id(),
        NAMES.sign_out: RING.seal_text("sign-out-cookie", new_browser_id().encode()),
    }
    assert len("; ".join(f"{name}={value}" for name, value in pairs.items())) < ALL_COOKIES_BYTES


def test_a_431_clears_what_was_sent_and_never_the_session() -> None:
    line = "; ".join(f"{name}=x" for name in (NAMES.session, NAMES.browser, NAMES.attempts, "theirs"))
    sent = cookie(f"{line}; {NAMES.login('3')}=x; {NAMES.login('3')}=y; {NAMES.login_prefix}\xff=z".encode("latin-1"))
    cleared = [value.decode().partition("=")[0] for _, value in NAMES.clear_sign_ins(sent)]
    assert cleared == [NAMES.attempts, NAMES.login("3")]
    assert NAMES.clear_sign_ins([]) == []
