"""The provider's logout URL: prepared with the sign-out, and given once to the browser that has both halves."""

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from bff.config.settings import load_settings
from bff.flows.logout.provider_sign_out import LONGEST_URL, TICKET_LIFETIME, ProviderSignOut, SignOutTicket
from bff.flows.logout.sign_out_hints import ENDED_BY_ITSELF, LIFETIME
from bff.session.session import EndReason
from tests.harness.settings import with_changes
from tests.harness.virtual_time import time_passes
from tests.unit.flows.parts import Parts


@pytest.fixture
def sign_out(parts: Parts) -> ProviderSignOut:
    return ProviderSignOut(parts.store, parts.provider, parts.settings)


async def test_the_url_is_taken_once_with_both_halves(parts: Parts, sign_out: ProviderSignOut) -> None:
    session = await parts.signed_in()
    ticket = await sign_out.prepare(session)
    assert ticket is not None
    assert await sign_out.take(SignOutTicket(ticket.ticket, "another browser")) is None
    assert await sign_out.take(SignOutTicket("a guess", ticket.browser)) is None
    url = await sign_out.take(ticket)
    assert url is not None
    assert url.startswith(f"{parts.provider.document.end_session_endpoint}?")
    query = parse_qs(urlsplit(url).query)
    assert query["id_token_hint"] == [session.tokens.id_token]
    assert query["post_logout_redirect_uri"] == [parts.settings.browser.post_logout_redirect_uri]
    assert await sign_out.take(ticket) is None


async def test_the_url_is_kept_for_a_minute(parts: Parts, sign_out: ProviderSignOut) -> None:
    ticket = await sign_out.prepare(await parts.signed_in())
    assert ticket is not None
    await time_passes(TICKET_LIFETIME + 1)
    assert await sign_out.take(ticket) is None


@pytest.mark.parametrize("problem", ["no ID token", "provider", "no endpoint", "store"])
@pytest.mark.case("BL-032")
async def test_a_failure_leaves_the_user_signed_in_at_the_provider_only(
    parts: Parts, sign_out: ProviderSignOut, problem: str
) -> None:
    session = await parts.signed_in()
    match problem:
        case "no ID token":
            session = replace(session, tokens=replace(session.tokens, id_token=None))
        case "provider":
            parts.provider.down = True
        case "no endpoint":
            parts.provider.document = replace(parts.provider.document, end_session_endpoint=None)
        case "store":
            parts.data.down = True
        case _:
            pass
    assert await sign_out.prepare(session) is None


@pytest.mark.parametrize("reason", sorted(ENDED_BY_ITSELF))
async def test_after_a_session_ended_by_itself_its_last_id_token_still_reaches_the_provider(
    parts: Parts, sign_out: ProviderSignOut, reason: EndReason
) -> None:
    session = await parts.signed_in()
    assert session.browser is not None
    await parts.end_session.end(session.key, reason)
    assert await sign_out.prepare_after_end(["another browser", "another session"]) is None
    ticket = await sign_out.prepare_after_end([session.browser, session.key])
    assert ticket is not None
    url = await sign_out.take(ticket)
    assert url is not None
    assert parse_qs(urlsplit(url).query)["id_token_hint"] == [session.tokens.id_token]
    assert await sign_out.prepare_after_end([session.browser, session.key]) is None, "once"


@pytest.mark.parametrize("reason", sorted(set(EndReason) - ENDED_BY_ITSELF))
async def test_after_any_other_end_no_id_token_is_kept(
    parts: Parts, sign_out: ProviderSignOut, reason: EndReason
) -> None:
    session = await parts.signed_in()
    await parts.end_session.end(session.key, reason)
    assert await sign_out.prepare_after_end([session.browser or "", session.key]) is None
    assert not parts.data.values


@pytest.mark.parametrize(("hint", "reached"), [("required", False), ("optional", True), ("never", True)])
async def test_without_an_id_token_the_client_id_will_do_where_the_provider_takes_it(
    parts: Parts, hint: str, reached: bool
) -> None:
    settings = load_settings(with_changes(issuer="https://id.example.com", sign_out_hint=hint))
    sign_out = ProviderSignOut(parts.store, parts.provider, settings)
    session = await parts.signed_in(browser=None)
    session = replace(session, version=2, tokens=replace(session.tokens, id_token=None))
    await parts.store.replace(session, 1)
    await parts.end_session.end(session.key, EndReason.REFRESH_TOKEN_INVALID)
    ticket = await sign_out.prepare_after_end([session.key])
    assert (ticket is not None) is reached
    if ticket is not None:
        query = parse_qs(urlsplit(await sign_out.take(ticket) or "").query)
        assert (query["client_id"], "id_token_hint" in query) == ([settings.provider.client_id], False)


async def test_the_id_token_is_kept_for_a_day_and_a_store_that_is_away_only_loses_it(
    parts: Parts, sign_out: ProviderSignOut
) -> None:
    session = await parts.signed_in()
    await parts.end_session.end(session.key, EndReason.IDLE_TIMEOUT)
    parts.data.down = True
    assert await sign_out.prepare_after_end([session.browser or ""]) is None
    parts.data.down = False
    await time_passes(LIFETIME + 1)
    assert await sign_out.prepare_after_end([session.browser or ""]) is None


@pytest.mark.parametrize(
    ("hint", "id_token", "sent"),
    [
        ("required", "id", True),
        ("optional", "id", True),
        ("never", "id", False),
        ("required", None, None),
        ("optional", None, False),
        ("never", None, False),
    ],
)
async def test_the_id_token_is_sent_unless_the_provider_needs_none(
    parts: Parts, hint: str, id_token: str | None, sent: bool | None
) -> None:
    settings = load_settings(with_changes(issuer="https://id.example.com", sign_out_hint=hint))
    sign_out = ProviderSignOut(parts.store, parts.provider, settings)
    session = await parts.signed_in()
    ticket = await sign_out.prepare(replace(session, tokens=replace(session.tokens, id_token=id_token)))
    assert (ticket is not None) is (sent is not None)
    if ticket is not None:
        query = parse_qs(urlsplit(await sign_out.take(ticket) or "").query)
        assert ("id_token_hint" in query) is sent
        assert "client_id" in query
        assert ticket.ticket not in repr(ticket)


@pytest.mark.parametrize("length", [14_000, 16_000])
async def test_a_url_that_no_proxy_would_pass_on_is_not_prepared(
    parts: Parts, sign_out: ProviderSignOut, length: int
) -> None:
    session = await parts.signed_in()
    session = replace(session, tokens=replace(session.tokens, id_token="i" * length))
    ticket = await sign_out.prepare(session)
    assert (ticket is not None) == (length < LONGEST_URL)
