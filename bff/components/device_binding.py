"""Device-bound sessions: what registers keys, renews bound cookies, and checks requests.

The two routes are always there, and verify proofs in every mode: during a deploy that changes the setting, a browser
that an older replica answered with 404 would drop its key.
"""

from dataclasses import dataclass

from bff.components.runtime import Runtime
from bff.components.stores import Stores
from bff.config.browser import DEVICE_REFRESH, DEVICE_REGISTRATION
from bff.flows.device_bindings import BindingUrls, DeviceBindings
from bff.web.auth.device_binding import DeviceOffers
from bff.web.bound_cookies import BoundCookies
from bff.web.cookies import CookieNames
from bff.web.device_check import DeviceCheck


@dataclass(frozen=True, slots=True)
class BoundSessions:
    """`check` and `offers` are None if the setting is off."""

    bindings: DeviceBindings
    cookies: BoundCookies
    check: DeviceCheck | None
    offers: DeviceOffers | None


def build_device_binding(runtime: Runtime, stores: Stores, names: CookieNames) -> BoundSessions:
    settings, public_url = runtime.settings.device_bound, runtime.settings.browser.public_url
    urls = BindingUrls(public_url + DEVICE_REGISTRATION, public_url + DEVICE_REFRESH)
    bindings = DeviceBindings(stores.sessions, stores.ring, runtime.tasks, urls, lifetime=settings.lifetime)
    cookie_cache = runtime.settings.store.cookie_cache if settings.mode != "off" else 0
    cookies = BoundCookies(stores.ring, names, runtime.clock, lifetime=settings.lifetime, cache=cookie_cache)
    if settings.mode == "off":
        return BoundSessions(bindings, cookies, None, None)
    check = DeviceCheck(cookies, bindings, settings.mode, runtime.clock)
    return BoundSessions(bindings, cookies, check, DeviceOffers(bindings))
