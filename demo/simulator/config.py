"""Configuration of a simulated Okta: its client, its users, its rotation policy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from demo.simulator.grants import RotationPolicy
from demo.simulator.people import PEOPLE, Person

SECRET_METHODS = frozenset({"client_secret_basic", "client_secret_post", "client_secret_jwt"})
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
POLICY_GRANTS = ("authorization_code", "client_credentials", "password", TOKEN_EXCHANGE)


@dataclass(slots=True)
class Client:
    """An app integration. Okta allows a client two active secrets, or keys for private_key_jwt."""

    client_id: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    jwks: tuple[Mapping[str, Any], ...] = ()
    auth_methods: frozenset[str] = SECRET_METHODS
    pkce_required: bool = True
    grant_types: frozenset[str] = frozenset({"authorization_code", "refresh_token"})
    application_type: str = "web"  # "service": an API Services app
    dpop_bound: bool = False  # every token request must carry a DPoP proof
    rotation: tuple[Literal["persistent", "rotate"], float] | None = None  # mode, grace; None: the org's policy
    granted_scopes: frozenset[str] = frozenset()  # of a service app: the Management API scopes it may request
    has_admin_role: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """A custom authorization server, `{org}/oauth2/{id}`.

    `scopes` are those that it has besides OpenID Connect's; `default_scopes` are granted to a request without a scope.
    It exchanges access tokens of itself, and of the servers whose ids are in `trusts`. `resources` are the resource
    indicators (RFC 8707) that it knows; at Okta a feature of some orgs only. `policy_grants` are the grants that its
    default access policy allows to all clients; empty: it has none.
    """

    id: str = "default"
    audience: str = "api://default"
    scopes: tuple[str, ...] = ()
    default_scopes: tuple[str, ...] = ()
    trusts: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    policy_grants: tuple[str, ...] = POLICY_GRANTS


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """`port` and `control_port` 0 mean any free port; `control_port` None means no control API over HTTP.

    `public_url` is the base URL for the browser (without a trailing slash); by default the listening address.
    """

    host: str = "127.0.0.1"
    port: int = 0
    control_port: int | None = None
    control_origins: tuple[str, ...] = ()
    public_url: str | None = None
    client_id: str = "0oasimulatedclient01"
    client_secrets: tuple[str, ...] = field(default=("simulated-client-secret-0123456789abcdef",), repr=False)
    redirect_uris: tuple[str, ...] = ("http://127.0.0.1:8080/authorization-code/callback",)
    post_logout_redirect_uris: tuple[str, ...] = ("http://127.0.0.1:8080/",)
    client_jwks: tuple[Mapping[str, Any], ...] = ()
    auth_methods: frozenset[str] | None = None  # None: the secret methods, or private_key_jwt where keys are given
    pkce_required: bool = True
    rotation: RotationPolicy = field(default_factory=RotationPolicy)
    people: tuple[Person, ...] = PEOPLE
    dpop_bound: bool = False  # the app's flag dpop_bound_access_tokens
    pushed_requests: bool = False  # RFC 9126; a feature of some orgs only
    pushed_status: Literal[200, 201] = 200  # Okta's documents say 200, the RFC says 201
    empty_org: bool = False  # no app at the start: one is created through the Management API
    # for the Management API; without it no request is authorized
    api_token: str | None = field(default=None, repr=False)
    bff_log: str | None = None  # where the log of the BFF is, for the demo's page
    service_apps: tuple[Client, ...] = ()
    servers: tuple[ServerConfig, ...] = ()  # `default` exists even if it is not among them
    # The delivery URL of a stream of security events that exists at the start, and its Authorization header.
    event_stream: str | None = None
    event_stream_authorization: str | None = field(default=None, repr=False)

    def client(self) -> Client:
        methods = self.auth_methods or (frozenset({"private_key_jwt"}) if self.client_jwks else SECRET_METHODS)
        return Client(
            client_id=self.client_id,
            secrets=self.client_secrets,
            redirect_uris=self.redirect_uris,
            post_logout_redirect_uris=self.post_logout_redirect_uris,
            jwks=self.client_jwks,
            auth_methods=methods,
            pkce_required=self.pkce_required,
            dpop_bound=self.dpop_bound,
        )
