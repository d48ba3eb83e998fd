"""Routes whose upstreams get tokens of other audiences: exchanged (RFC 8693), or for a resource (RFC 8707)."""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bff.base64url import decode_base64url
from bff.oidc.token_exchange import TOKEN_EXCHANGE
from tests.providers.deployment import Deployment, deployed
from tests.providers.person import Person
from tests.providers.provider import Provider, Wish

pytestmark = [pytest.mark.providers, pytest.mark.asyncio(loop_scope="session")]

CALLS = 400
SCOPES = {"exchange": "openid profile email", "resource": "openid profile email offline_access api:read"}


def wish(audience_kind: str, *, rotates: bool = True) -> tuple[Wish, dict[str, str]]:
    return Wish(api_tokens=True, rotates=rotates), {"scopes": SCOPES[audience_kind]}


def claims(token: str) -> dict[str, object]:
    """Of a JWT, which its upstream would verify; empty for an opaque token."""
    parts = token.split(".")
    return dict(json.loads(decode_base64url(parts[1]))) if len(parts) == 3 else {}


def audiences(token: str) -> list[object]:
    named = claims(token).get("aud", [])
    return named if isinstance(named, list) else [named]


def audience_requests(bff: Deployment) -> list[dict[str, str]]:
    """The forms of the requests for tokens of other audiences."""
    forms = [each.form for each in bff.provider.proxy.exchanges]
    return [form for form in forms if form.get("grant_type") == TOKEN_EXCHANGE or "resource" in token_parameters(form)]


def token_parameters(form: dict[str, str]) -> dict[str, str]:
    """The form of a token request; empty for a pushed authorization request, which has a `resource` too."""
    return form if "grant_type" in form else {}


def allowed(bff: Deployment) -> dict[str, str]:
    """The audiences of the routes whose tokens the provider issues, by prefix."""
    tokens = bff.provider.audience_tokens(bff.client)
    return {prefix: each.audience for prefix, each in tokens.items() if each.audience is not None}


async def test_each_route_gets_tokens_of_its_own_audience(
    tmp_path: Path, provider: Provider, audience_kind: str, seen: Callable[[str], None]
) -> None:
    wanted, settings = wish(audience_kind)
    async with deployed(tmp_path, provider, wanted, **settings) as bff:
        people = {login: await bff.signed_in(login) for login in ("alice@example.com", "bob@example.com")}
        subjects = {login: (await person.session())["user"]["sub"] for login, person in people.items()}
        prefixes, chosen = ["/api", *allowed(bff)], random.Random(4711)
        logins = chosen.sample([*people] * (CALLS // 2), CALLS)
        calls = [(login, chosen.randrange(2), f"{chosen.choice(prefixes)}/{login}") for login in logins]
        answers = await asyncio.gather(*(bff.call(people[login], replica, path) for login, replica, path in calls))
        assert {answer.status_code for answer in answers} == {200}
        assert len(bff.upstream.heard) == CALLS
        for heard, token in zip(bff.upstream.heard, bff.upstream.tokens, strict=True):
            _, prefix, login = heard.path.split("/")
            others = set(allowed(bff).values()) - {allowed(bff).get(f"/{prefix}")}
            assert not others & set(audiences(token)), "the token of another audience"
            if f"/{prefix}" in allowed(bff):
                assert audiences(token) == [allowed(bff)[f"/{prefix}"]]
                assert claims(token)["sub"] == subjects[login], "the token of somebody else"
        assert len(audience_requests(bff)) == len(people) * len(allowed(bff))
        tokens = set(bff.upstream.tokens)
        pages = "".join(page.text + str(page.headers) for person in people.values() for page in person.seen)
        assert not [token for token in tokens if token in pages]
    seen(f"by {'token exchange' if audience_kind == 'exchange' else '`resource`'}, {CALLS} calls, no wrong audience")


async def test_fifty_callers_on_a_cold_audience_cost_one_token_request(
    tmp_path: Path, provider: Provider, audience_kind: str, seen: Callable[[str], None]
) -> None:
    wanted, settings = wish(audience_kind)
    async with deployed(tmp_path, provider, wanted, **settings) as bff:
        person = await bff.signed_in()
        answers = await asyncio.gather(*(bff.call(person, number % 2, "/orders/x") for number in range(50)))
        assert {answer.status_code for answer in answers} == {200}
        assert len(audience_requests(bff)) == 1
        assert len(set(bff.upstream.tokens)) == 1
    seen("1 token request")


async def refused(bff: Deployment, person: Person) -> None:
    """A call to `/refused`, in whose place nothing else breaks."""
    answer = await bff.call(person, 1, "/refused/x")
    assert (answer.status_code, answer.json()["code"]) == (502, "api_token_refused"), answer.text


async def test_a_refused_audience_ends_no_session(
    tmp_path: Path, provider: Provider, audience_kind: str, seen: Callable[[str], None]
) -> None:
    """Where refresh tokens are kept: oidc-provider consumes one that rotates, also if it then refuses the resource."""
    wanted, settings = wish(audience_kind, rotates=audience_kind == "exchange")
    async with deployed(tmp_path, provider, wanted, **settings) as bff:
        person = await bff.signed_in_and_expired()
        await provider.refuse(bff.client)
        await refused(bff, person)
        for path in ("/api/x", "/orders/x", "/billing/x"):
            assert (await bff.call(person, 1, path)).status_code == 200
        requests = len(bff.provider.proxy.exchanges)
        await asyncio.gather(*(refused(bff, person) for _ in range(20)))
        assert len(bff.provider.proxy.exchanges) <= requests + 4, "a refusal is asked for again and again"
        assert (await person.session())["authenticated"] is True
        assert not [heard for heard in bff.upstream.heard if heard.path.startswith("/refused")]
    seen("502 for its route, the session continues")


async def test_a_session_from_before_the_route_ends_at_no_audience(
    tmp_path: Path, provider: Provider, audience_kind: str, seen: Callable[[str], None]
) -> None:
    """oidc-provider would end the grant if a refresh named a resource that the sign-in did not ask for."""
    wanted, settings = wish(audience_kind)
    async with deployed(tmp_path, provider, wanted, first_is_older=True, **settings) as bff:
        person = await bff.signed_in_and_expired()
        answer = await bff.call(person, 1, "/orders/x")
        if audience_kind == "exchange":
            assert answer.status_code == 200
        else:
            assert (answer.status_code, answer.json()["code"]) == (401, "step_up_required"), answer.text
            assert audience_requests(bff) == []
        for replica in (0, 1):
            assert (await bff.call(person, replica)).status_code == 200
        assert len(bff.provider.proxy.refreshes()) == 1
    seen("gets the token too" if audience_kind == "exchange" else "401 asks for another sign-in, the session continues")


async def test_tokens_of_other_audiences_are_bound_to_a_key(
    tmp_path: Path, provider: Provider, audience_kind: str, seen: Callable[[str], None]
) -> None:
    wanted, settings = wish(audience_kind)
    async with deployed(tmp_path, provider, replace(wanted, dpop=True), **settings) as bff:
        person = await bff.signed_in()
        for prefix, audience in allowed(bff).items():
            answer = await bff.call(person, 1, f"{prefix}/x")
            assert answer.status_code == 200, answer.text
            scheme, _, token = bff.upstream.heard[-1].headers["authorization"].partition(" ")
            assert (scheme, audiences(token)) == ("DPoP", [audience])
            assert bff.upstream.heard[-1].headers["dpop"]
    seen("with proofs")


async def test_own_tokens_are_shared_by_all_sessions(
    tmp_path: Path, provider: Provider, seen: Callable[[str], None]
) -> None:
    async with deployed(tmp_path, provider, Wish(api_tokens=True)) as bff:
        people = [await bff.signed_in(login) for login in ("alice@example.com", "bob@example.com")]
        answers = await asyncio.gather(*(bff.call(people[n % 2], n // 2 % 2, "/own/x") for n in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert len(bff.provider.proxy.requests_of("client_credentials")) == 2, "one for each process"
        own = set(bff.upstream.tokens)
        assert len(own) == 2
        bff.upstream.heard.clear()
        assert (await bff.call(people[0])).status_code == 200
        assert not own & set(bff.upstream.tokens)
        without = bff.person()
        await without.http.get(bff.public_url)
        assert (await without.fetch("/own/x")).status_code == 401
    seen("1 token request for each process")
