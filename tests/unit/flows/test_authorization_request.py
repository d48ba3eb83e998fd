"""The authorization request: pushed where the provider takes it, and readable by the browser where that is allowed."""

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from bff.errors import BffError
from bff.flows.authorization_request import PUSH_COOL_DOWN, AuthorizationRequests
from bff.oidc.authorization import SignInOptions
from bff.oidc.pushed_authorization import NotPushed
from bff.session.sign_in_intent import SignInIntent
from tests.harness.minting import CLIENT_ID, ISSUER
from tests.harness.virtual_time import time_passes
from tests.unit.flows.parts import START, Parts

REFUSED, UNREACHABLE = NotPushed("no", refused=True), NotPushed("timeout")


def requests_of(parts: Parts, *, offered: bool = True, required: bool = False) -> AuthorizationRequests:
    parts.provider.document = replace(
        parts.provider.document,
        pushed_authorization_request_endpoint=f"{ISSUER}/v1/par" if offered else None,
        require_pushed_authorization_requests=required,
    )
    return AuthorizationRequests(parts.store, parts.provider, parts.ring, parts.settings, clock=parts.data.clock)


async def query_of(requests: AuthorizationRequests) -> dict[str, list[str]]:
    request = await requests.begin(intent=SignInIntent("/home"))
    assert request.transaction.return_to == "/home"
    return parse_qs(urlsplit(request.url).query)


@pytest.mark.parametrize(
    ("par", "offered", "required", "pushed"),
    [
        ("auto", True, False, True),
        ("auto", False, False, False),
        ("never", True, False, False),
        ("required", True, False, True),
        ("auto", True, True, True),
    ],
)
async def test_when_a_request_is_pushed(par: str, offered: bool, required: bool, pushed: bool) -> None:
    parts = Parts(par=par)
    query = await query_of(requests_of(parts, offered=offered, required=required))
    assert query["client_id"] == [CLIENT_ID]
    assert ("request_uri" in query) is pushed is bool(parts.provider.pushed)
    sent = {name: [value] for name, value in parts.provider.pushed[0].items()} if pushed else query
    assert sent["code_challenge_method"] == ["S256"]
    assert {"state", "nonce", "code_challenge", "redirect_uri"} <= sent.keys()
    assert ("state" in query) is not pushed


@pytest.mark.parametrize(
    ("prompt", "requested", "sent"),
    [
        ("", None, None),
        ("consent", None, ["consent"]),
        ("consent", "login", ["login consent"]),
        ("consent", "none", ["none"]),
    ],
)
async def test_the_default_prompt_is_sent_with_every_sign_in(
    prompt: str, requested: str | None, sent: list[str] | None
) -> None:
    requests = requests_of(Parts(prompt=prompt), offered=False)
    options = SignInOptions(prompt=requested)
    started = await requests.begin(intent=SignInIntent("/home", prompt=requested), options=options)
    assert parse_qs(urlsplit(started.url).query).get("prompt") == sent
    assert started.transaction.options.prompt == requested, "a silent check is recognized by what the link requested"


async def test_after_a_failed_push_none_is_tried_for_a_while(parts: Parts) -> None:
    requests = requests_of(parts)
    parts.provider.push_answers = [UNREACHABLE]
    counts = []
    for _ in range(3):
        await query_of(requests)
        counts.append(len(parts.provider.pushed))
        await time_passes(PUSH_COOL_DOWN - 10)
    assert counts == [1, 1, 2]


@pytest.mark.parametrize(
    ("answer", "code"), [(REFUSED, "sign_in_failed"), (UNREACHABLE, "provider_unavailable")], ids=["refused", "away"]
)
async def test_a_push_that_must_succeed_and_does_not(answer: NotPushed, code: str) -> None:
    parts = Parts(par="required")
    parts.provider.push_answers = [answer]
    with pytest.raises(BffError) as refused:
        await query_of(requests_of(parts))
    assert refused.value.code == code


async def test_a_provider_without_what_the_settings_require_is_refused() -> None:
    with pytest.raises(BffError) as refused:
        await query_of(requests_of(Parts(dpop="on")))
    assert refused.value.code == "sign_in_failed"


async def test_a_store_that_is_away_does_not_stop_the_start_of_a_sign_in(parts: Parts) -> None:
    requests = requests_of(parts)
    await time_passes(5)
    parts.data.down = True
    request = await requests.begin(intent=SignInIntent("/"))
    assert request.transaction.started_at == START + 5
