"""The verification of the event stream: what a running BFF leaves in the store, and what is said without it."""

from pathlib import Path

import pytest

from bff.admin.doctor import event_stream
from bff.admin.okta.settings import load_okta_settings
from bff.config.settings import load_settings
from bff.flows.security_events.receiver import verification_marker
from bff.session.keyring import KeyRing
from bff.storage.open import open_store
from tests.harness.okta_org import Operator, empty_org
from tests.unit.admin.okta.test_client_credentials import SCOPES, as_service_app, service_app
from tests.unit.admin.okta.test_event_stream import EVENTS_ON

STATE = "state-of-this-test"


async def checked(operator: Operator, *, within: float = 0.0) -> tuple[str, str]:
    settings = load_settings({name: value for name, value in operator.served().items() if "OKTA" not in name})
    okta = load_okta_settings({name: value for name, value in operator.served().items() if "OKTA" in name})
    (result,) = await event_stream.check(settings, okta, within=within, state=lambda: STATE)
    return result.status, result.observed


async def test_a_verification_that_arrived_is_found(tmp_path: Path, key_file: Path) -> None:
    scopes = SCOPES | {"ssf.manage", "ssf.read"}
    async with empty_org(tmp_path, service_apps=(service_app(key_file, granted_scopes=scopes),)) as operator:
        as_service_app(operator, key_file)
        operator.environ |= {f"BFF_{name.upper()}": value for name, value in EVENTS_ON.items()}
        await operator.apply()
        assert (await checked(operator))[0] == "fail", "no BFF is running"
        settings = load_settings({name: value for name, value in operator.served().items() if "OKTA" not in name})
        store = open_store(settings.store.url, KeyRing.from_keys(settings.session.key_ring))
        now = await store.now()
        await store.put_marker(verification_marker(STATE), now, now + 60)
        await store.close()
        assert (await checked(operator))[0] == "ok"
        operator.okta.control.security_events.streams.clear()
        assert await checked(operator) == ("fail", "Okta has no stream for this client.")


@pytest.mark.parametrize(("delivery", "statuses"), [("off", []), ("poll", ["skipped"]), ("push", ["skipped"])])
async def test_without_credentials_or_push_there_is_nothing_to_wait_for(
    operator: Operator, delivery: str, statuses: list[str]
) -> None:
    await operator.apply()
    environ = {name: value for name, value in operator.served().items() if "OKTA" not in name}
    settings = load_settings({**environ, "BFF_SECURITY_EVENTS": delivery})
    assert [result.status for result in await event_stream.check(settings, None)] == statuses
