"""What only the browser keeps of sign-ins in progress: the slots of their cookies, the loop guard, the sealed hint."""

import pytest

from bff.config.settings import load_settings
from bff.session.keyring import KeyRing, new_key
from bff.session.login_transaction import SLOTS, LoginTransaction, begin
from bff.session.sign_in_intent import SignInIntent
from bff.web.auth.login_hint import LIFETIME, LoginHints
from bff.web.auth.loop_guard import LIMIT, WINDOW, SignInAttempts
from bff.web.auth.pending_sign_ins import PendingSignIns
from bff.web.cookies import CookieNames, Header
from tests.harness.settings import RIGHT
from tests.harness.web_parts import Clock

RING, NAMES, SETTINGS = KeyRing.from_keys([new_key()]), CookieNames(), load_settings(RIGHT).sign_in


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pending(clock: Clock) -> PendingSignIns:
    return PendingSignIns(RING, NAMES, SETTINGS, clock)


def a_transaction(now: float, slot: int | None = None) -> LoginTransaction:
    return begin(now=now, provider="p" * 16, intent=SignInIntent(), slot=slot)


def sent(cookies: list[Header]) -> list[Header]:
    """The Cookie header of a browser that was given these."""
    return [(b"cookie", b"; ".join(value.partition(b";")[0] for _, value in cookies))]


def test_a_sign_in_is_found_by_its_own_slot(pending: PendingSignIns, clock: Clock) -> None:
    first, second = a_transaction(clock.now, 3), a_transaction(clock.now, 3)
    cookies = pending.set_cookies([], first)
    assert pending.find(sent(cookies), first.id) == first
    assert pending.find(sent(pending.set_cookies([], second)), first.id) == second, "a newer one took the slot"
    assert pending.find([], first.id) is None
    assert pending.find(sent([*cookies, *cookies]), first.id) is None
    other_slot = (b"set-cookie", cookies[0][1].replace(b"login-3", b"login-4"))
    assert pending.find(sent([other_slot]), a_transaction(clock.now, 4).id) is None


def test_free_slots_are_taken_in_turn_and_then_the_oldest(pending: PendingSignIns, clock: Clock) -> None:
    assert {pending.free_slot([]) for _ in range(SLOTS)} == set(range(SLOTS))
    oldest = 5
    cookies = [
        cookie
        for slot in range(SLOTS)
        for cookie in pending.set_cookies([], a_transaction(clock.now - (99 if slot == oldest else slot), slot))
    ]
    assert {pending.free_slot(sent(cookies)) for _ in range(SLOTS)} == {oldest}
    assert pending.free_slot(sent(cookies[:7] + cookies[8:])) == 7
    clock.now += SETTINGS.login_lifetime - 50
    assert pending.free_slot(sent(cookies[:5] + cookies[6:])) == 5
    clock.now += 51 + SLOTS
    assert {pending.free_slot(sent(cookies)) for _ in range(SLOTS)} == set(range(SLOTS)), "all of them have expired"


def test_cookies_of_an_earlier_version_are_deleted(pending: PendingSignIns, clock: Clock) -> None:
    old = [NAMES.set_login("anOldName", "x", lifetime=600), NAMES.set_login("3", "x", lifetime=600)]
    _, *deleted = pending.set_cookies(sent(old), a_transaction(clock.now, 4))
    assert [value.partition(b"=")[0] for _, value in deleted] == [b"__Host-Http-login-anOldName"]


# --- the loop guard


def attempts(headers: list[Header], now: float, *, cross_site: bool = False) -> SignInAttempts:
    return SignInAttempts(headers, RING, NAMES, now, cross_site=cross_site)


def test_so_many_sign_ins_may_start_within_the_window() -> None:
    headers: list[Header] = []
    for second in range(LIMIT):
        assert attempts(headers, 100.0 + second).wait is None
        headers = sent([attempts(headers, 100.0 + second).count_attempt()])
    now = 100.0 + LIMIT
    assert attempts(headers, now).wait == WINDOW - LIMIT
    assert attempts(headers, now, cross_site=True).wait is None
    assert attempts(headers, 99.0 + WINDOW).wait == 1
    assert attempts(headers, 100.0 + WINDOW).wait is None, "the first has left the window"
    assert attempts(headers, 0.0).wait == WINDOW, "counted by a replica with a fast clock"
    both = sent([attempts(headers, now, cross_site=True).count_attempt()])
    assert attempts(both, now).wait == WINDOW - LIMIT, "another site's sign-in keeps our own count"


def test_a_counter_that_is_not_ours_counts_nothing() -> None:
    for value in ("forged", RING.seal_text("other", b"\1" + bytes(40)), ""):
        assert attempts([(b"cookie", f"{NAMES.attempts}={value}".encode())], 100.0).wait is None


# --- the sealed login hint


def test_a_hint_can_be_opened_for_a_minute(clock: Clock) -> None:
    hints = LoginHints(RING, clock)
    sealed = hints.seal("zoë@example.com")
    assert "zo" not in sealed
    for ahead, opened in ((0, True), (LIFETIME, True), (LIFETIME + 1, False), (-LIFETIME - 2, False)):
        clock.now = Clock().now + ahead
        assert hints.open(sealed) == ("zoë@example.com" if opened else None)
    clock.now = Clock().now
    for wrong in (
        "",
        "forged",
        sealed[:-1],
        RING.seal_text("login-hint", b"short"),
        RING.seal_text("other", bytes(20)),
    ):
        assert hints.open(wrong) is None
