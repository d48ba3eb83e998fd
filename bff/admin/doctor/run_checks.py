"""All checks, in diagnostic order: settings, provider, app integration, network.

A check whose precondition failed is skipped: without metadata there is no token endpoint to call.
"""

import asyncio
import ssl
import time
from collections.abc import Callable

from bff.admin.doctor import (
    api_tokens,
    app_integration,
    capabilities,
    client_credentials,
    event_stream,
    network,
    redirect_uri,
    store,
)
from bff.admin.doctor import settings as settings_checks
from bff.admin.doctor.assertion_audience import check_assertion_audience
from bff.admin.doctor.check_result import CheckResult, fail, skipped
from bff.admin.doctor.metadata import discover
from bff.admin.doctor.offline_access import check_offline_access
from bff.admin.doctor.own_keys import check_own_keys
from bff.admin.okta.api_error import OktaManagementError
from bff.admin.okta.connection import read_plan
from bff.admin.okta.settings import OktaSettings
from bff.config.settings import Settings
from bff.errors import ConfigurationError
from bff.oidc.token import TokenResult
from bff.provider.connections import open_client


async def run_checks(
    settings: Settings, okta: OktaSettings | None, *, clock: Callable[[], float] = time.time
) -> list[CheckResult]:
    """`okta` None: no Management API credentials. `clock` is in seconds since the epoch. Writes nothing."""
    results = [settings_checks.key_ring(settings), settings_checks.cookies(settings), *await store.run_checks(settings)]
    at_provider, answers = await _provider(settings, clock)
    results += [*at_provider, *await _app(settings, okta, answers), *await event_stream.check(settings, okta)]
    results += await network.upstreams(settings)
    return [*results, settings_checks.trusted_proxies(settings), await network.public_url(settings)]


async def _provider(
    settings: Settings, clock: Callable[[], float]
) -> tuple[list[CheckResult], tuple[TokenResult, ...]]:
    try:
        http = open_client(settings.provider.transport, connections=1)
    except (OSError, ssl.SSLError):
        fix = "Give a file of certificates in PEM."
        return [
            fail("metadata", f"BFF_PROVIDER_CA_FILE ({settings.provider.transport.ca_file}) cannot be used.", fix)
        ], ()
    try:
        discovered = await discover(http, settings, clock)
        metadata = discovered.metadata
        if metadata is None:
            why, fix = "the provider's metadata cannot be used", "Fix the error above, then run this command again."
            names = ("keys", "pkce", "par", "client_credentials", "redirect_uri")
            return [*discovered.findings, *(skipped(name, why, fix) for name in names)], ()
        results = [*discovered.findings, await capabilities.keys(http, settings, metadata)]
        results.append(capabilities.pkce(discovered.fields))
        results.append(check_offline_access(settings, discovered.fields))
        results.append(capabilities.access_tokens(settings, metadata))
        results += check_own_keys(settings, discovered.fields)
        try:
            credentials = await client_credentials.check_credentials(settings, metadata)
            audience = await check_assertion_audience(settings, metadata)
        except ConfigurationError as error:
            return [*results, fail("client_credentials", f"{error.setting} {error.problem}", error.fix)], ()
        results += [*credentials.findings, *audience, *await _api_tokens(settings)]
        results += await redirect_uri.check_redirect_uri(http, settings, metadata, accepted=credentials.accepted)
        return results, credentials.answers
    finally:
        await http.close()


async def _api_tokens(settings: Settings) -> list[CheckResult]:
    try:
        return await api_tokens.check_api_tokens(settings)
    except ConfigurationError as error:
        return [fail("api_tokens", f"{error.setting} {error.problem}", error.fix)]


async def _app(settings: Settings, okta: OktaSettings | None, answers: tuple[TokenResult, ...]) -> list[CheckResult]:
    if okta is None:
        checks_at_okta = settings.provider.at_okta
        return app_integration.without_api(settings, answers) if checks_at_okta else app_integration.elsewhere(settings)
    try:
        planned = await asyncio.to_thread(read_plan, settings, okta)
    except OktaManagementError as error:
        return [fail("okta", error.problem, error.fix)]
    except ConfigurationError as error:
        return [fail("okta", f"{error.setting} {error.problem}", error.fix)]
    return app_integration.with_plan(planned, settings, answers)
