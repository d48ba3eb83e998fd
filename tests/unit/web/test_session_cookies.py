"""What the session cookie of a request says, also from the cache of opened cookies."""

import pytest

from bff.asgi.header_section import HeaderSection
from bff.base64url import decode_base64url, encode_base64url
from bff.errors import BffError, InvalidRequest, SignInRequired
from bff.session.keyring import KeyRing, new_key, new_session_id
from bff.session.login_transaction import begin, seal_transaction
from bff.session.sign_in_intent import SignInIntent
from bff.web.browser_id import new_browser_id
from bff.web.cookies import CookieNames
from bff.web.session_cookies import (
    MAX_COOKIE_BYTES,
    Anonymous,
    CurrentSession,
    DuplicateCookie,
    KeyRemoved,
    SessionCookies,
    SignedIn,
    seal_session_cookie,
)

NAMES, OLD, NEW = CookieNames(), new_key(), new_key()
RING = KeyRing.from_keys([NEW])


def sent(value: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"app.example"), (b"cookie", f"{NAMES.session}={value}".encode())]


def read(headers: list[tuple[bytes, bytes]], ring: KeyRing = RING) -> CurrentSession:
    return SessionCookies(ring, NAMES).read(headers)


def test_the_cookie_gives_back_the_session_id() -> None:
    session_id = new_session_id()
    value = seal_session_cookie(session_id, RING)
    assert read(sent(value)) == SignedIn(session_id, reseal=False)
    assert session_id.secret not in (decode_base64url(value) or b"")


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(seal_transaction(begin(now=0, provider="p" * 16, intent=SignInIntent()), RING), id="CK-005-login"),
        pytest.param(RING.seal_text("csrf", b"x" * 32), id="CK-005-purpose"),
        pytest.param(RING.seal_text("session-cookie", b"x" * 31), id="CK-005-length"),
        pytest.param(new_browser_id(), id="CK-005-unsealed"),
        pytest.param(
            encode_base64url(b"\x02" + (decode_base64url(seal_session_cookie(new_session_id(), RING)) or b"")[1:]),
            id="CK-010",
        ),
        pytest.param("", id="empty"),
    ],
)
def test_any_other_value_is_no_session(value: str) -> None:
    assert read(sent(value)) == Anonymous()


@pytest.mark.case("CK-032", "CK-033")
def test_there_are_no_chunks_to_count_or_to_mix() -> None:
    one, other = (seal_session_cookie(new_session_id(), RING) for _ in range(2))
    assert len(one) == len(other) == 87, "one size, however large the tokens are"
    for line in (
        f"{NAMES.session}.0={one[:40]}; {NAMES.session}.1={other[40:]}",
        f"{NAMES.session}_chunks=99999999; {NAMES.session}.0={one}",
        f"{NAMES.session}={one[:40]}{other[40:]}",
    ):
        assert read([(b"cookie", line.encode())]) == Anonymous()


@pytest.mark.parametrize(
    ("headers", "error", "reason"),
    [
        ([], SignInRequired, None),
        (sent(seal_session_cookie(new_session_id(), KeyRing.from_keys([OLD]))), SignInRequired, "key_removed"),
        (sent(seal_session_cookie(new_session_id(), RING)) * 2, InvalidRequest, None),
    ],
    ids=["none", "key removed", "twice"],
)
def test_a_request_without_one_session_is_refused(
    headers: list[tuple[bytes, bytes]], error: type[BffError], reason: str | None
) -> None:
    with pytest.raises(error) as refused:
        SessionCookies(RING, NAMES).require(headers)
    assert getattr(refused.value, "reason", None) == reason


def test_a_cached_cookie_is_the_same_session_and_no_other_is() -> None:
    cookies, ids = SessionCookies(RING, NAMES), [new_session_id() for _ in range(2)]
    values = [seal_session_cookie(each, RING) for each in ids]
    for _ in range(2):
        assert [cookies.read(sent(value)) for value in values] == [SignedIn(each, reseal=False) for each in ids]
    assert cookies.read([*sent(values[0]), *sent(values[0])]) == DuplicateCookie()
    assert cookies.read(sent(values[0][:40] + values[1][40:])) == Anonymous()
    assert cookies.read([]) == Anonymous()


def test_a_cached_cookie_is_read_by_the_keys_of_now() -> None:
    ring, session_id = KeyRing.from_keys([OLD]), new_session_id()
    cookies, line = SessionCookies(ring, NAMES), sent(seal_session_cookie(session_id, ring))
    for keys, expected in (
        ([OLD], SignedIn(session_id, reseal=False)),
        ([NEW, OLD], SignedIn(session_id, reseal=True)),
        ([NEW], KeyRemoved()),
        ([OLD], SignedIn(session_id, reseal=False)),
    ):
        ring.replace_keys(keys)
        assert [cookies.read(line) for _ in range(2)] == [expected] * 2


def test_shared_headers_name_the_session_by_the_keys_of_now_and_for_each_application() -> None:
    session_id, ring = new_session_id(), KeyRing.from_keys([OLD])
    headers = HeaderSection(sent(seal_session_cookie(session_id, ring)))
    cookies = SessionCookies(ring, NAMES)
    for _ in range(2):
        assert cookies.read(headers) == SignedIn(session_id, reseal=False)
    assert SessionCookies(RING, NAMES).read(headers) == KeyRemoved()
    ring.replace_keys([NEW, OLD])
    for _ in range(2):
        assert cookies.read(headers) == SignedIn(session_id, reseal=True)
    ring.replace_keys([NEW])
    for _ in range(2):
        assert cookies.read(headers) == KeyRemoved()


def test_the_cache_is_bounded() -> None:
    cookies = SessionCookies(RING, NAMES, 1200)  # bytes: two of them
    for session_id in (new_session_id() for _ in range(5)):
        assert cookies.read(sent(seal_session_cookie(session_id, RING))) == SignedIn(session_id, reseal=False)
    long = [(b"cookie", sent(seal_session_cookie(new_session_id(), RING))[1][1] + b"; a=" + bytes(MAX_COOKIE_BYTES))]
    assert isinstance(cookies.read(long), SignedIn)
    assert len(cookies._opened) == 2
    assert cookies._opened.get(long[0][1]) is None
