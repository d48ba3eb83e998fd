"""Security events: asks Okta for a verification event, and waits until a running BFF has received it."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

from bff.admin.doctor.check_result import CheckResult, fail, ok, skipped
from bff.admin.okta import event_stream
from bff.admin.okta.api_error import OktaManagementError
from bff.admin.okta.connection import management_api
from bff.admin.okta.desired import Desired
from bff.admin.okta.settings import OktaSettings
from bff.config.settings import Settings
from bff.errors import ConfigurationError, StoreUnavailable
from bff.flows.security_events.receiver import verification_marker
from bff.session.keyring import KeyRing
from bff.storage.credentials import ChangingCredentials
from bff.storage.open import open_store

NAME: Final = "security_events"
WITHIN: Final = 20.0  # seconds
LOOK: Final = 0.25  # seconds between two reads of the store


async def check(
    settings: Settings, okta: OktaSettings | None, *, within: float = WITHIN, state: Callable[[], str] | None = None
) -> list[CheckResult]:
    """Nothing if security events are off. `within` is in seconds; `state` makes the text that Okta has to repeat."""
    if settings.security_events.delivery == "off":
        return []
    if settings.security_events.delivery == "poll":
        return [skipped(NAME, "a running BFF polls", "Look at bff_security_event_polls_total and its log.")]
    if okta is None or okta.service_client_id is None:
        why = "Okta's API for event streams wants a service app, and none is configured"
        return [skipped(NAME, why, "Request a verification manually (`bff docs security-events`).")]
    sent = (state or (lambda: secrets.token_urlsafe(16)))()
    try:
        asked = await asyncio.to_thread(_ask, settings, okta, sent)
    except OktaManagementError as error:
        return [fail(NAME, error.problem, error.fix)]
    except ConfigurationError as error:
        return [fail(NAME, f"{error.setting} {error.problem}", error.fix)]
    if not asked:
        return [fail(NAME, "Okta has no stream for this client.", "`bff okta apply` creates it.")]
    try:
        arrived = await _arrives(settings, verification_marker(sent), within)
    except StoreUnavailable:
        return [skipped(NAME, "the store cannot be read", "Fix the store, then run this command again.")]
    if arrived:
        return [ok(NAME, "Okta's verification event has arrived")]
    fix = (
        f"Is a BFF running at {settings.browser.security_events_endpoint}, and does the proxy pass the path? Its log "
        "says why it refused a delivery: BFF_SECURITY_EVENTS_AUDIENCE must be the stream's aud, and `bff okta apply` "
        "sets the Authorization header again."
    )
    return [fail(NAME, f"Okta's verification event did not arrive within {within:.0f} s.", fix)]


def _ask(settings: Settings, okta: OktaSettings, state: str) -> bool:
    desired = Desired(settings, okta)
    with management_api(desired) as api:
        return event_stream.request_verification(api, desired, state)


async def _arrives(settings: Settings, marker: str, within: float) -> bool:
    """Whether the running BFF leaves that marker in the store, which this command only reads."""
    ring, credentials = KeyRing.from_keys(settings.session.key_ring), ChangingCredentials.of(settings.store.login)
    store = open_store(settings.store.url, ring, credentials=credentials)
    try:
        for _ in range(max(1, int(within / LOOK))):
            if await store.get_marker(marker) is not None:
                return True
            await asyncio.sleep(LOOK)
        return False
    finally:
        await store.close()
