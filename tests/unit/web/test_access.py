"""Access rules of routes: who is refused with what, what is recorded, and that no rule widens another route."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from bff.config.routes import Route
from bff.errors import BffError, ForbiddenByRule
from bff.flows.api_tokens.flow import ApiTokens
from bff.flows.identity_assertions import IdentityAssertions
from bff.flows.refresh.flow import RefreshTokenFlow, SessionAt
from bff.flows.streams import OpenStreams
from bff.proxy.headers import PublicOrigin
from bff.proxy.http import HttpProxy
from bff.proxy.routes import RouteTable
from bff.proxy.websocket import WebSocketProxy
from bff.session.session import Session, User
from bff.telemetry.audit import AuditEvent
from bff.telemetry.metrics import REGISTRY
from bff.web.access import check_access
from bff.web.api import ApiEndpoint, Upstreams
from bff.web.error_responder import ErrorResponder
from bff.web.middleware.request_guard import RequestGuard
from bff.web.origin_policy import OriginPolicy
from bff.web.request_authentication import RequestAuthentication
from bff.web.session_cookies import SessionCookies
from bff.web.upstream_credentials import SessionCredentials, UpstreamTokens, _RequestCredentials
from tests.harness.asgi_call import call, run, websocket_scope
from tests.harness.audit_trail import Trail
from tests.harness.path_readers import MORE_READERS, SPELLINGS, by_prefix
from tests.harness.refresh_records import NOW, fresh
from tests.harness.routes import a_route
from tests.harness.web_parts import FETCH, Browser, WebParts, web_parts

CLOSED_PORT = "http://127.0.0.1:1"  # who gets through gets 502
RULES: dict[str, list[dict[str, Any]]] = {
    "/ops": [{"name": "operators", "groups_any": ["ops"]}, {"name": "auditors", "groups_all": ["audit", "read"]}],
    "/strong": [{"name": "phishing-resistant", "acr": ["phr", "phrh"]}],
    "/recent": [{"groups_any": ["staff"], "max_auth_age": 600}],
}


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[WebParts]:
    routes = [
        {"prefix": prefix, "upstream": CLOSED_PORT, "allow": rules, "websocket": True}
        for prefix, rules in RULES.items()
    ]
    async with web_parts(tmp_path, routes=json.dumps(routes), acr_values="phr", idle_timeout="43200") as parts:
        parts.provider.claims["groups"] = ["staff"]
        yield parts


@pytest.fixture
def trail() -> Iterator[Trail]:
    trail, logger = Trail(), logging.getLogger("bff.audit")
    logger.addHandler(trail)
    yield trail
    logger.removeHandler(trail)


@pytest.mark.parametrize(
    ("groups", "status"),
    [(["ops"], 502), (["audit", "read", "staff"], 502), (["audit"], 403), (["OPS"], 403), ([], 403), (None, 403)],
)
async def test_one_rule_that_holds_lets_a_request_through(
    browser: Browser, parts: WebParts, groups: list[str] | None, status: int
) -> None:
    parts.provider.claims["groups"] = groups
    await browser.sign_in()
    assert (await browser.fetch("GET", "/ops/x")).status == status


async def test_a_refusal_names_the_rules_and_not_the_user(browser: Browser, parts: WebParts, trail: Trail) -> None:
    before = REGISTRY.get_sample_value("bff_forbidden_by_rule_total", {"route": "/ops"}) or 0
    await browser.sign_in()
    response = await browser.fetch("GET", "/ops/x")
    problem = json.loads(response.body)
    assert response.problem == (403, "forbidden_by_rule")
    assert problem["detail"] == "The request is not allowed by: operators, auditors."
    assert problem["rules"] == ["operators", "auditors"]
    assert "sign_in_url" not in problem
    (session,) = await parts.sessions()
    line = trail.only(AuditEvent.ACCESS_REFUSED)
    assert (line["reason"], line["session"], line["subject"]) == (
        "forbidden_by_rule",
        session.fingerprint,
        session.person,
    )
    assert (line["route"], line["unmet"]) == ("/ops", "operators: groups_any; auditors: groups_all")
    for secret in ("ann@example.com", "00u1", "staff"):
        assert secret not in response.body.decode() + json.dumps(line)
    assert REGISTRY.get_sample_value("bff_forbidden_by_rule_total", {"route": "/ops"}) == before + 1


async def test_a_handshake_and_a_navigation_are_refused_too(browser: Browser, parts: WebParts) -> None:
    await browser.sign_in()
    cookie = f"cookie: __Host-Http-session={browser.cookies['__Host-Http-session']}"
    handshake = websocket_scope("/ops/x", cookie, "origin: https://app.example.com")
    assert (await run(parts.public, handshake)).problem == (403, "forbidden_by_rule")
    page = await browser.fetch("GET", "/ops/x")
    assert page.status == 403
    assert (await browser.send("POST", "/ops/x")).problem == (403, "csrf_required"), "the rules come last"


@pytest.mark.parametrize(
    ("path", "claims", "later", "sign_in_url"),
    [
        ("/strong", {}, 0, "/auth/login?acr_values=phr&return_to="),
        ("/recent", {}, 601, "/auth/login?max_age=600&return_to="),
        ("/recent", {"groups": []}, 601, None),  # no sign-in would help
    ],
)
async def test_a_refusal_offers_the_sign_in_that_would_help(
    browser: Browser, parts: WebParts, path: str, claims: dict[str, Any], later: int, sign_in_url: str | None
) -> None:
    parts.provider.claims |= claims
    await browser.sign_in()
    parts.clock.now += later
    response = await browser.fetch("GET", path)
    assert response.problem == (403, "forbidden_by_rule")
    assert json.loads(response.body).get("sign_in_url") == sign_in_url
    if sign_in_url is not None:
        parts.provider.claims |= {"acr": "phr"}
        await browser.sign_in(f"?{sign_in_url.partition('?')[2]}/")
        assert (await browser.fetch("GET", path)).status == 502


async def test_rules_follow_the_claims_of_a_refresh(browser: Browser, parts: WebParts) -> None:
    parts.provider.claims["groups"] = ["ops"]
    await browser.sign_in()
    seen = []
    for refreshed in ({}, {"groups": ["staff"]}, {"groups": ["ops"]}, {"groups": []}):
        parts.clock.now += 3599
        parts.provider.refreshed = refreshed
        seen.append((await browser.fetch("GET", "/ops/x")).status)
    assert seen == [502, 403, 502, 403]


# --- no rule widens another route

PREFIXES = ("/api", "/api/admin", "/api/admin/audit", "/api/v2.1/x", "/other")
GROUPS = ("a", "b", "c")


class Recording(HttpProxy):
    """An upstream connection that records what would be sent."""

    sent: bytes | None = None

    async def forward(self, route: Route, scope: Any, *_: Any, **__: Any) -> None:
        self.sent = route.target(scope["raw_path"], scope["query_string"])


def requested(routes: dict[str, tuple[str, ...]], ignoring: bool, groups: set[str], path: str) -> bytes | None:
    """The target of the request to the upstream, None if it is refused. `routes`: the groups of each prefix's rule."""
    table = RouteTable(
        a_route(prefix, ignore_case=ignoring, **({"allow": [{"groups_any": list(allowed)}]} if allowed else {}))
        for prefix, allowed in routes.items()
    )
    session: Session = replace(fresh(), user=User("00u1", claims={"groups": sorted(groups)}))
    authentication = RequestAuthentication(OriginPolicy("https://app.example.com"), cast("SessionCookies", None))
    unused = cast("RefreshTokenFlow", None), cast("OpenStreams", None)
    tokens = UpstreamTokens(frozenset(), cast("IdentityAssertions", None), cast("ApiTokens", None))
    source = SessionCredentials(*unused, authentication, tokens)

    async def credentials(_: object) -> _RequestCredentials:
        return _RequestCredentials(source, SessionAt(session, 0.0))

    origin = PublicOrigin.parse("https://app.example.com")
    proxy = Recording(origin)
    upstreams = Upstreams(table, proxy, WebSocketProxy(origin), cast("OpenStreams", None))
    errors, origins = ErrorResponder(), OriginPolicy("https://app.example.com")
    api = RequestGuard(ApiEndpoint(upstreams, credentials, origins=origins, errors=errors), errors)
    asyncio.run(call(api, "GET", path, *FETCH))
    return proxy.sent


noise = st.sampled_from(["", "", "", ";", ";a=b", "%3b", "%20", ".", "::$DATA", "%3f", "%2500"])
names = st.sampled_from(["api", "admin", "Admin", "audit", "v2.1", "x", "", "%61dmin", "%2561dmin", "a%64min"])
spelled = st.tuples(noise, names, noise).map("".join)
paths = st.lists(spelled, min_size=1, max_size=4).map(lambda parts: "/api/" + "/".join(parts))
subsets = st.sets(st.sampled_from(GROUPS))


@settings(max_examples=120)
@given(
    path=st.sampled_from(SPELLINGS) | paths,
    rules=st.fixed_dictionaries({prefix: subsets.map(lambda chosen: tuple(sorted(chosen))) for prefix in PREFIXES}),
    changed=st.sampled_from(PREFIXES),
    ignoring=st.booleans(),
    groups=subsets,
)
def test_no_rule_widens_another_route_in_any_spelling_of_a_path(
    path: str, rules: dict[str, tuple[str, ...]], changed: str, ignoring: bool, groups: set[str]
) -> None:
    """The rules of the route that any known server would select hold, and a rule changes nothing beside its route."""
    sent = requested(rules, ignoring, groups, path)
    without = requested({**rules, changed: ()}, ignoring, groups, path)
    assert sent is None or sent == without, "a rule lets through what was refused without it"
    if sent is None:
        event("refused")
        if without is not None:
            assert by_prefix(PREFIXES, path.lower() if ignoring else path) == changed
        return
    for reader, read in MORE_READERS.items():
        reading = read(sent.decode("latin-1"))
        prefix = by_prefix(PREFIXES, reading.lower() if ignoring else reading)
        assert prefix is not None
        assert not rules[prefix] or groups & set(rules[prefix]), (reader, prefix)
    event("sent")


def test_without_a_refusal_nothing_is_raised() -> None:
    route = a_route(allow=[{"groups_any": ["ops"]}])
    assert route.access_rules is not None
    for groups, refused in ((["ops"], False), (["staff"], True)):
        session = replace(fresh(), user=User("00u1", claims={"groups": groups}))
        raised: BffError | None = None
        try:
            check_access(route.access_rules, session, NOW, place="/api")
        except ForbiddenByRule as error:
            raised = error
        assert (raised is not None) is refused
