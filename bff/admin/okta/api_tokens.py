"""What the tokens of routes need in the org: grant types of their clients, servers that trust each other, policies.

Okta exchanges access tokens at custom authorization servers only, for service apps only, and only tokens of the same
server or of one that it trusts (its guide *Set up OAuth 2.0 On-Behalf-Of Token Exchange*, and its list of errors).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from bff.admin.okta import access_policy
from bff.admin.okta.access_policy import WHERE, Policies
from bff.admin.okta.app_integration import client_id_of
from bff.admin.okta.app_properties import CLIENT
from bff.admin.okta.desired import Desired
from bff.admin.okta.difference import Difference, Findings
from bff.admin.okta.management_api import ManagementApi
from bff.admin.okta.needed_tokens import TOKEN_EXCHANGE, NeededToken, needed_tokens, unreadable_issuers

Json: TypeAlias = dict[str, Any]
Action: TypeAlias = Callable[[ManagementApi], object]
_APP: Final = "Applications > that service app > General > General Settings > Grant type"
_NAMES: Final = {TOKEN_EXCHANGE: "Token Exchange", "client_credentials": "Client Credentials"}


@dataclass(frozen=True, slots=True)
class TokenServer:
    """An authorization server that issues tokens for routes. `trusted` are ids of servers, `scopes` names."""

    policies: Policies
    trusted: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    default_scopes: bool = False


@dataclass(frozen=True, slots=True)
class ApiTokensView:
    """`servers` by id; `service_app` None: the org has no app with that client id, or none is needed."""

    servers: Mapping[str, TokenServer]
    service_app: Json | None = None

    def as_json(self) -> Json:
        """For `show`."""
        return {
            server_id: {
                "audiences": (server.policies.server or {}).get("audiences"),
                "trusted_servers": sorted(server.trusted),
                "scopes": sorted(server.scopes),
                "access_policies": [policy.get("name") for policy, _ in server.policies.policies],
            }
            for server_id, server in self.servers.items()
        }


@dataclass(frozen=True, slots=True)
class Step:
    """A difference, and how `apply` removes it; None: only an administrator can."""

    difference: Difference
    action: Action | None = None


def read(api: ManagementApi, desired: Desired) -> ApiTokensView | None:
    """None, without a request, if no route has such a token. Raises OktaManagementError."""
    needed = needed_tokens(desired)
    if not needed:
        return None
    servers = {token.server_id: _server(api, token.server_id) for token in needed if token.server_id is not None}
    service_id = desired.settings.service_client.client_id
    wanted = service_id is not None and any(token.client == "service" for token in needed)
    return ApiTokensView(servers, _app_of(api, str(service_id)) if wanted else None)


def _server(api: ManagementApi, server_id: str) -> TokenServer:
    policies = access_policy.read_server(api, server_id)
    if policies.server is None:
        return TokenServer(policies)
    path = f"/api/v1/authorizationServers/{server_id}"
    trusted = frozenset(str(other["id"]) for other in api.pages(f"{path}/associatedServers", trusted="true"))
    scopes = list(api.pages(f"{path}/scopes"))
    defaults = any(scope.get("default") for scope in scopes)
    return TokenServer(policies, trusted, frozenset(str(scope["name"]) for scope in scopes), defaults)


def _app_of(api: ManagementApi, client_id: str) -> Json | None:
    app = api.find(f"/api/v1/apps/{client_id}")
    if app is not None:
        return app
    every = api.pages("/api/v1/apps", filter='name eq "oidc_client"')
    return next((candidate for candidate in every if client_id_of(candidate) == client_id), None)


def compare(view: ApiTokensView | None, client_id: str | None, desired: Desired) -> Findings:
    notes = tuple(
        f"The routes that get tokens of {issuer} were not compared: it is not in this org."
        for issuer in unreadable_issuers(desired)
    )
    if any(getattr(route.token, "kind", None) == "resource" for route in desired.settings.routes):
        notes += (
            "A route has a resource (RFC 8707): Okta has resource indicators at custom authorization servers of orgs "
            "with Okta for AI Agents, and its API does not show them. Sign in once and call the route.",
        )
    if view is None:
        return Findings(notes=notes)
    notes += tuple(
        f"The server {server_id} could not be read: {server.policies.unreadable}"
        for server_id, server in view.servers.items()
        if server.policies.unreadable and server_id != desired.authorization_server_id
    )
    steps = steps_of(view, client_id, desired)
    return Findings(tuple(step.difference for step in steps), notes)


def apply(api: ManagementApi, view: ApiTokensView, client_id: str, desired: Desired) -> None:
    """Grant types of the service app, trusted servers and access policies. Raises OktaManagementError."""
    for step in steps_of(view, client_id, desired):
        if step.action is not None:
            step.action(api)


def steps_of(view: ApiTokensView, client_id: str | None, desired: Desired) -> list[Step]:
    """Everything that differs. `client_id` is that of the app integration; None if it does not exist yet."""
    needed = needed_tokens(desired)
    steps = list(_of_service_app(view, needed, desired))
    for token in needed:
        steps += _of_token(view, token, client_id, desired)
    return list({(step.difference.name, str(step.difference.expected)): step for step in steps}.values())


def _of_service_app(view: ApiTokensView, needed: tuple[NeededToken, ...], desired: Desired) -> Iterator[Step]:
    grants = sorted({token.grant for token in needed if token.client == "service"})
    if not grants:
        return
    app, service_id = view.service_app, desired.settings.service_client.client_id
    if app is None:
        why = "The org has no app with the client ID of BFF_SERVICE_CLIENT_ID."
        fix = "Applications > Create App Integration > API Services; then set BFF_SERVICE_CLIENT_ID and its secret."
        yield Step(Difference("api_tokens", "service_app", None, service_id, why, fix, "manual"))
        return
    client = _client(app)
    if client.get("application_type") != "service":
        why = "Okta lets only service apps exchange tokens (on_behalf_invalid_client_type); the type cannot be changed."
        fix = "Applications > Create App Integration > API Services; then set BFF_SERVICE_CLIENT_ID and its secret."
        actual = client.get("application_type")
        yield Step(Difference("api_tokens", "service_app_type", actual, "service", why, fix, "manual"))
    has = [str(grant) for grant in client.get("grant_types") or ()]
    if missing := [grant for grant in grants if grant not in has]:
        ticked = ", ".join(_NAMES[grant] for grant in missing)
        why = "Without the grant type Okta answers unauthorized_client."
        fix = f"`bff okta apply` adds it; manually: {_APP}: {ticked}."
        wanted = [*has, *missing]
        yield Step(
            Difference("api_tokens", "service_app_grants", has, wanted, why, fix),
            lambda api: api.put(f"/api/v1/apps/{app['id']}", _with_grants(app, wanted)),
        )


def _of_token(view: ApiTokensView, needed: NeededToken, client_id: str | None, desired: Desired) -> Iterator[Step]:
    exchange, server_id = needed.grant == TOKEN_EXCHANGE, needed.server_id
    if exchange and needed.client == "sign_in":
        why = f"Okta lets only service apps exchange tokens, and {needed.places} uses the client of BFF_CLIENT_ID."
        fix = 'Create an app of the type API Services, set BFF_SERVICE_CLIENT_ID, and client = "service" there.'
        yield Step(Difference("api_tokens", "token_client", "sign_in", "service", why, fix, "manual"))
        return
    if server_id is None:
        why = f"{needed.places} needs a custom authorization server: the org server issues no tokens for APIs."
        fix = f"Set issuer there to the issuer of a server at {WHERE}, which needs API Access Management."
        actual = desired.org_url
        yield Step(Difference("api_tokens", "token_server", actual, "a custom server", why, fix, "manual"))
        return
    server = view.servers[server_id]
    if server.policies.unreadable:
        return
    if server.policies.server is None:
        why = f"The org has no authorization server {server_id}, which {needed.places} names."
        fix = f"Set issuer there to the issuer of a server at {WHERE}."
        yield Step(Difference("api_tokens", "token_server", None, server_id, why, fix, "manual"))
        return
    on_server = list(_of_server(server, server.policies.server, needed, desired))
    yield from on_server
    if any(step.difference.name == "token_scopes" for step in on_server):
        return  # a rule cannot name a scope that does not exist
    service_id = desired.settings.service_client.client_id
    of_client = service_id if needed.client == "service" else client_id
    if not access_policy.allows(server.policies, of_client, needed.grant, needed.scopes):
        expected = f"{server_id}: a policy for {of_client or 'the app'} with a rule for {_NAMES[needed.grant]}"
        why = f"No access policy allows the tokens of {needed.places}: Okta answers no_matching_policy."
        fix = f"{WHERE} > that server > Access Policies > Add Policy, then Add Rule with {_NAMES[needed.grant]}."
        if not desired.okta.access_policy:
            yield Step(Difference("api_tokens", "token_policy", None, expected, why, fix, "manual"))
            return
        yield Step(
            Difference("api_tokens", "token_policy", None, expected, why, f"`bff okta apply` adds it; manually: {fix}"),
            lambda api: access_policy.add(api, server_id, str(of_client), needed.grant, needed.scopes),
        )


def _of_server(server: TokenServer, body: Json, needed: NeededToken, desired: Desired) -> Iterator[Step]:
    server_id, audiences = str(needed.server_id), [str(audience) for audience in body.get("audiences") or ()]
    if needed.audience is not None and needed.audience not in audiences:
        why = f"Okta exchanges only for the audience of the server itself: {needed.places} would get invalid_target."
        fix = f"Set audience there to it, or issuer to the server with that audience ({WHERE})."
        yield Step(Difference("api_tokens", "token_audience", audiences, [needed.audience], why, fix, "manual"))
    own = desired.authorization_server_id
    if needed.grant == TOKEN_EXCHANGE and own is None:
        why = "Access tokens of the org server cannot be exchanged."
        fix = f"Set BFF_ISSUER to the issuer of a custom server ({WHERE})."
        yield Step(Difference("api_tokens", "subject_server", desired.org_url, "a custom server", why, fix, "manual"))
    elif needed.grant == TOKEN_EXCHANGE and own != server_id and own not in server.trusted:
        why = f"The server {server_id} does not trust the one of BFF_ISSUER: Okta answers access_denied."
        fix = f"`bff okta apply` adds it; manually: {WHERE} > that server > Trusted servers > Add Server."
        expected = sorted({*server.trusted, str(own)})
        yield Step(
            Difference("api_tokens", "trusted_servers", sorted(server.trusted), expected, why, fix),
            lambda api: api.post_for_list(
                f"/api/v1/authorizationServers/{server_id}/associatedServers", {"trusted": [own]}
            ),
        )
    where = f"{WHERE} > that server > Scopes"
    if absent := sorted(set(needed.scopes) - server.scopes):
        why = f"The server {server_id} lacks scopes that {needed.places} requests: Okta answers invalid_scope."
        yield Step(Difference("api_tokens", "token_scopes", None, absent, why, f"{where} > Add Scope.", "manual"))
    elif not needed.scopes and not server.default_scopes:
        why = f"{needed.places} requests no scope, and the server {server_id} has no default scope: invalid_scope."
        fix = f"Set scope there, or make one the default: {where}."
        yield Step(Difference("api_tokens", "token_scopes", None, "a scope", why, fix, "manual"))


def _client(app: Json) -> Json:
    client: Json = app.get(CLIENT[0], {}).get(CLIENT[1], {})
    return client


def _with_grants(app: Json, grants: list[str]) -> Json:
    """Okta's PUT replaces the whole app."""
    return {**app, CLIENT[0]: {**app[CLIENT[0]], CLIENT[1]: {**_client(app), "grant_types": grants}}}
