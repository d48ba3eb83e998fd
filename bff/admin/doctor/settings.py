"""Checks of the settings alone: the key ring, cookie sizes, and trusted proxies."""

import time
from typing import Final

from bff.admin.doctor.check_result import CheckResult, ok, warn
from bff.config.settings import Settings
from bff.config.validators import is_loopback
from bff.flows.authorization_request import request_fingerprint
from bff.session.keyring import KeyRing, new_session_id
from bff.session.login_transaction import SLOTS, begin, seal_transaction
from bff.session.sign_in_intent import SignInIntent
from bff.web.auth import loop_guard
from bff.web.browser_id import new_browser_id
from bff.web.cookies import ALL_COOKIES_BYTES, VALUE_LIMIT, CookieNames, slot_suffix
from bff.web.session_cookies import seal_session_cookie

COOKIE_LINE: Final = 8192  # bytes; the header line limit of nginx by default, and of most proxies at least
MANY_KEYS: Final = 4


def key_ring(settings: Settings) -> CheckResult:
    newest, *older = KeyRing.from_keys(settings.session.key_ring).key_ids
    observed = f"{1 + len(older)} in the ring, newest {newest}"
    observed += f", decrypting only: {', '.join(older)}" if older else ""
    if len(older) >= MANY_KEYS:
        fix = "`bff keys rewrap` re-encrypts all records under the newest key; then remove the oldest."
        return warn("key_ring", f"{observed}. Every one of them decrypts sessions.", fix)
    return ok("key_ring", f"{observed}; the age of a key is not recorded")


def cookies(settings: Settings) -> CheckResult:
    """Seals sample cookies, which are never sent to a browser. Their sizes depend on no setting."""
    ring, names = KeyRing.from_keys(settings.session.key_ring), CookieNames(secure=settings.browser.cookies_secure)
    transaction = begin(
        now=time.time(),
        provider=request_fingerprint(settings),
        intent=SignInIntent(),
    )
    pairs = {
        names.session: seal_session_cookie(new_session_id(), ring),
        names.browser: new_browser_id(),
        names.attempts: ring.seal_text(loop_guard.PURPOSE, bytes(loop_guard.LONGEST)),
    }
    session = len(names.session) + 1 + len(pairs[names.session])
    usual = sum(len(name) + len(value) + 3 for name, value in pairs.items())
    login = len(names.login(slot_suffix(transaction.slot))) + 1 + len(seal_transaction(transaction, ring)) + 2
    most = usual + SLOTS * login
    observed = (
        f"session {session} bytes, all BFF cookies {usual}, at most {most} with sign-ins in progress (limits: "
        f"{VALUE_LIMIT} per cookie, {ALL_COOKIES_BYTES} in total, {COOKIE_LINE} per header line)"
    )
    return ok("cookies", observed)


def trusted_proxies(settings: Settings) -> CheckResult:
    """With an https public URL a proxy terminates TLS; the client address is known only if that proxy is trusted."""
    if not settings.browser.public_url.startswith("https:"):
        return ok("trusted_proxies", "none needed: the public URL is http on this machine")
    if not settings.server.trusted_proxies:
        near = isinstance(settings.server.listen_address, tuple) and is_loopback(settings.server.listen_address[0])
        guess = "127.0.0.1 ::1" if near else "the address or network of the proxy, like 10.0.0.0/8"
        if not isinstance(settings.server.listen_address, tuple):
            guess = "unix"
        observed = "BFF_TRUSTED_PROXIES is empty, and a proxy terminates TLS: every client appears with its address."
        fix = f"Set BFF_TRUSTED_PROXIES to {guess}; the proxy must set X-Forwarded-For, not pass it on."
        return warn("trusted_proxies", observed, fix)
    if {"0.0.0.0/0", "::/0"} & set(settings.server.trusted_proxies):
        fix = "Name the proxy's own address or network: with this value any client can spoof its address."
        return warn("trusted_proxies", "BFF_TRUSTED_PROXIES trusts every address.", fix)
    return ok("trusted_proxies", ", ".join(settings.server.trusted_proxies))
