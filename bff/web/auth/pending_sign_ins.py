"""Sign-ins in progress, which only the browser keeps: the sealed `state`, login cookies, and the attempt counter."""

import secrets
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Final

from bff.config.sign_in import SignInSettings
from bff.session.keyring import KeyRing
from bff.session.login_transaction import (
    SLOTS,
    LoginTransaction,
    StateResult,
    open_transaction,
    read_state,
    seal_transaction,
    slot_of,
)
from bff.web.auth.loop_guard import SignInAttempts
from bff.web.auth.same_site_step import is_cross_site_navigation
from bff.web.browser_id import browser_id_hash, hash_browser_id, new_browser_id
from bff.web.cookies import Cookie, CookieNames, Header, login_cookies, read_cookies, slot_suffix

SLOT_SUFFIXES: Final = frozenset(slot_suffix(slot) for slot in range(SLOTS))


class PendingSignIns:
    """Reads and writes them. Each sign-in has one of `SLOTS` login cookies; a newer one may take the oldest's slot."""

    def __init__(
        self,
        ring: KeyRing,
        names: CookieNames,
        settings: SignInSettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ring, self._names, self._settings, self._clock = ring, names, settings, clock
        # Ten tabs that are restored at once all arrive without login cookies. Slots are assigned in turn, so theirs
        # differ.
        self._turn = count(secrets.randbelow(SLOTS))

    def read_state(self, state: str) -> StateResult:
        """What the `state` parameter of an authorization response says."""
        return read_state(state, self._ring, now=self._clock(), lifetime=self._settings.login_lifetime)

    def attempts(self, headers: Sequence[Header]) -> SignInAttempts:
        """The recent sign-ins of this browser that the same kind of page started."""
        cross_site = is_cross_site_navigation(headers)
        return SignInAttempts(headers, self._ring, self._names, self._clock(), cross_site=cross_site)

    def find(self, headers: Sequence[Header], transaction_id: str) -> LoginTransaction | None:
        """The sign-in in the cookie of this one's slot: this one, or a newer one that took the slot."""
        slot = slot_of(transaction_id)
        match read_cookies(headers, self._names.login(slot_suffix(slot))):
            case Cookie(value):
                opened = open_transaction(value, slot, self._ring)
                return opened if isinstance(opened, LoginTransaction) else None
            case _:
                return None

    def free_slot(self, headers: Sequence[Header]) -> int:
        """The next slot whose cookie this browser does not have or no longer needs; otherwise the oldest one's."""
        carried, first = login_cookies(headers, self._names), next(self._turn)
        slots = [(first + offset) % SLOTS for offset in range(SLOTS)]
        return min(slots, key=lambda slot: self._started_at(slot, carried.get(slot_suffix(slot))))

    def set_cookies(self, headers: Sequence[Header], transaction: LoginTransaction) -> list[Header]:
        """The login cookie of a new sign-in. Also deletes cookies of an earlier version, which had a name for each
        sign-in.
        """
        suffix, sealed = slot_suffix(transaction.slot), seal_transaction(transaction, self._ring)
        outdated = [name for name in login_cookies(headers, self._names) if name not in SLOT_SUFFIXES]
        return [
            self._names.set_login(
                suffix, sealed, lifetime=self._settings.login_lifetime, form_post=self._settings.by_form_post
            ),
            *(self._names.clear_login(name) for name in outdated),
        ]

    def clear(self, transaction_id: str) -> Header:
        """Deletes the login cookie of a sign-in that is over."""
        return self._names.clear_login(slot_suffix(slot_of(transaction_id)), form_post=self._settings.by_form_post)

    def browser(self, headers: Sequence[Header]) -> str | None:
        """The hash of this browser's browser-id cookie."""
        return browser_id_hash(headers, self._names)

    def new_browser(self) -> tuple[str, Header]:
        """The hash of a new browser id, and the cookie with it."""
        value = new_browser_id()
        return hash_browser_id(value), self._names.set_browser_id(value)

    def _started_at(self, slot: int, value: str | None) -> float:
        """When the sign-in in that slot started; 0 if there is none that could still be completed."""
        opened = open_transaction(value, slot, self._ring) if value else None
        if not isinstance(opened, LoginTransaction):
            return 0.0
        return opened.started_at if opened.started_at + self._settings.login_lifetime >= self._clock() else 0.0
