"""The settings: a tree of frozen models, read once at start-up.

A component takes the part that it needs, whole. Rules over settings of one part are in its model, rules over several
parts here. docs/settings.md is the reference, and a test keeps it complete.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field

from bff.config.api_tokens import RequestedToken, ResourceToken
from bff.config.assertions import NEW_KEY, AssertionSettings
from bff.config.browser import VERIFY, BrowserSettings, SpaSettings
from bff.config.device_bound import DeviceBoundSettings
from bff.config.identity_assertion import IdentityToken
from bff.config.load import load
from bff.config.provider import ProviderSettings
from bff.config.refresh import RefreshSettings
from bff.config.request_headers import conflicting_name
from bff.config.route_prefixes import distinct_prefixes
from bff.config.routes import Route
from bff.config.section import FROZEN, over, secrets
from bff.config.security_events import SecurityEventSettings
from bff.config.server import ForwardAuthSettings, ServerSettings, check_apart, check_loopback
from bff.config.session import SessionSettings, StoreSettings
from bff.config.sign_in import SignInSettings
from bff.config.telemetry import TelemetrySettings
from bff.config.token_client import ServiceClientSettings
from bff.config.validators import invalid
from bff.oidc.algorithms import PrivateKey
from bff.oidc.private_keys import read_private_key
from bff.oidc.public_jwk import public_members


class Settings(BaseModel):
    """Every setting. Each is read from BFF_<NAME> or from <name> in bff.toml; times are in seconds."""

    model_config = FROZEN

    provider: ProviderSettings
    browser: BrowserSettings
    session: SessionSettings
    store: StoreSettings = Field(default_factory=StoreSettings)
    sign_in: SignInSettings = Field(default_factory=SignInSettings)
    device_bound: DeviceBoundSettings = Field(default_factory=DeviceBoundSettings)
    refresh: RefreshSettings = Field(default_factory=RefreshSettings)
    security_events: SecurityEventSettings = Field(default_factory=SecurityEventSettings)
    routes: Annotated[tuple[Route, ...], AfterValidator(distinct_prefixes)] = ()
    assertions: AssertionSettings = Field(default_factory=AssertionSettings)
    service_client: ServiceClientSettings = Field(default_factory=ServiceClientSettings)
    spa: SpaSettings = Field(default_factory=SpaSettings)
    forward_auth: ForwardAuthSettings = Field(default_factory=ForwardAuthSettings)
    server: ServerSettings = Field(default_factory=ServerSettings)
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)

    @over("forward_auth_listen", "listen")
    def _forward_auth_apart_from_public(self) -> None:
        check_apart(self.forward_auth.listen, self.server.listen)

    @over("forward_auth_listen", "management_listen")
    def _forward_auth_apart_from_management(self) -> None:
        check_apart(self.forward_auth.listen, self.server.management_listen)

    @over("forward_auth_listen", "dpop", "forward_auth_token")
    def _no_bound_tokens_for_proxies(self) -> None:
        if self.forward_auth.address is not None and self.forward_auth.token == "user" and self.provider.uses_dpop:
            # A proxy cannot create the proof that each request with a DPoP-bound token needs (RFC 9449 section 7).
            fix = (
                "Set one of them to off: forward these requests through BFF_ROUTES, or use tokens without DPoP; or set "
                "BFF_FORWARD_AUTH_TOKEN to an identity."
            )
            raise invalid("is set, and dpop is on: a proxy cannot use DPoP-bound tokens.", fix)

    @over("trusted_proxies", "forward_auth_listen")
    def _tokens_for_listed_proxies_only(self) -> None:
        if self.forward_auth.address is not None and not self.server.trusted_proxies:
            fix = "List the proxies that use it: only they receive access tokens."
            raise invalid("is empty, and forward_auth_listen is set.", fix)

    @over("user_claims", "forward_auth_headers")
    def _claims_of_identity_headers(self) -> None:
        needed = {claim for _, claim in self.forward_auth.identity}
        if missing := sorted(needed - {*self.session.user_claims}):
            fix = "Add it: a session keeps only the listed claims."
            raise invalid(f"do not include {missing[0]}, which forward_auth_headers needs.", fix)

    @over("user_claims", "forward_auth_allow", "forward_auth_rules")
    def _claims_of_forward_auth_rules(self) -> None:
        if missing := sorted(self.forward_auth.claims - {*self.session.user_claims}):
            fix = "Add it: a session keeps only the listed claims."
            raise invalid(f"do not include {missing[0]}, which a rule of forward authentication needs.", fix)

    @over("public_url", "listen", "listen_beyond_loopback")
    def _plain_http_stays_on_this_machine(self) -> None:
        if not self.browser.cookies_secure and not self.server.listen_beyond_loopback:
            check_loopback("BFF_LISTEN", self.server.listen)

    @over("public_url", "forward_auth_listen", "listen_beyond_loopback")
    def _plain_http_forward_auth_stays_on_this_machine(self) -> None:
        if not self.browser.cookies_secure and not self.server.listen_beyond_loopback:
            check_loopback("BFF_FORWARD_AUTH_LISTEN", self.forward_auth.listen)

    @over("provider_addresses", "issuer", "security_events_transmitter", "public_url", "routes")
    def _secrets_reach_the_provider_over_tls(self) -> None:
        """A URL with http is on this machine; with another address its requests would leave it unencrypted."""
        transport = self.provider.transport
        leaving = [entry for entry in transport.address_map if not entry.on_this_machine]
        urls = [self.provider.issuer, *transport.endpoints.urls.values(), *self.token_issuers]
        if self.security_events.delivery != "off":  # its keys come from there, and polls carry a token
            urls.append(self.security_events.issuer(self.provider))
        plain = any(url.startswith("http:") for url in urls)
        if leaving and plain and self.browser.cookies_secure:
            problem = f"sends secrets over http to {leaving[0].address.host}."
            raise invalid(problem, "Use https URLs; http is for development, with public_url on this machine.")

    @over("routes", "callback_path")
    def _callback_stays_ours(self) -> None:
        for route in self.routes:
            if route.covers(self.browser.callback_path.encode("ascii")):
                raise invalid(f"contains {route.prefix}, which covers the callback path.", "Choose another prefix.")

    @over("routes", "scopes")
    def _required_scopes_are_requested(self) -> None:
        for route in self.routes:
            if beyond := sorted({*route.scopes} - {*self.provider.scopes}):
                problem = f"requires {' '.join(beyond)} at {route.prefix}, which BFF_SCOPES does not request."
                raise invalid(problem, "Add it to BFF_SCOPES.")

    @over("routes", "service_client_id")
    def _service_client_of_routes(self) -> None:
        for route in self.routes:
            token = route.api_token
            if (
                isinstance(token, RequestedToken)
                and token.client == "service"
                and self.service_client.client_id is None
            ):
                problem = f'has client = "service" at {route.prefix}, and there is none.'
                raise invalid(problem, "Set BFF_SERVICE_CLIENT_ID and its credentials, or remove client.")

    @over("routes", "issuer")
    def _credentials_stay_at_their_provider(self) -> None:
        for route in self.routes:
            token, own = route.api_token, urlsplit(self.provider.issuer)
            if isinstance(token, RequestedToken) and token.client == "sign_in" and token.issuer is not None:
                other = urlsplit(token.issuer)
                if (other.scheme, other.netloc) != (own.scheme, own.netloc):
                    problem = f"has an issuer at {route.prefix} that is on another host than BFF_ISSUER."
                    fix = 'Set client = "service": the client secret of BFF_CLIENT_ID is not for that provider.'
                    raise invalid(problem, fix)

    @over("routes", "forward_auth_headers", "forward_auth_assertion")
    def _identity_headers_are_not_forwarded(self) -> None:
        """Of no route: another one may lead to the same API."""
        for route in self.routes:
            for setting, identity in self.identity_headers.items():
                if (forged := conflicting_name(route.allow_request_headers, identity)) is not None:
                    problem = f"allows {forged} at {route.prefix}, which {setting} uses as an identity header."
                    raise invalid(problem, "Remove it, or rename one of the two.")

    @over("routes", "device_bound")
    def _required_bindings_are_offered(self) -> None:
        for route in self.routes:
            if route.device_bound is not None and self.device_bound.mode == "off":
                problem = f"requires device_bound at {route.prefix}, and BFF_DEVICE_BOUND is off."
                raise invalid(problem, "Set BFF_DEVICE_BOUND to offer or enforce, or remove it.")

    @over("user_claims", "routes")
    def _claims_of_routes(self) -> None:
        for route in self.routes:
            for setting, claims in (
                ("identity_headers", {claim for _, claim in route.identity_fields}),
                ("allow", {claim for rule in route.allow for claim in rule.claims}),
            ):
                if missing := sorted(claims - {*self.session.user_claims}):
                    problem = f"do not include {missing[0]}, which {setting} of {route.prefix} needs."
                    raise invalid(problem, "Add it: a session keeps only the listed claims.")

    @over("user_claims", "routes", "forward_auth_token", "forward_auth_assertion")
    def _claims_of_assertions(self) -> None:
        for place, identity in self.identities.items():
            if missing := sorted({*identity.claims} - {*self.session.user_claims}):
                problem = f"do not include {missing[0]}, which the identity assertion of {place} needs."
                raise invalid(problem, "Add it: a session keeps only the listed claims.")

    @over("assertion_keys", "routes", "forward_auth_token", "forward_auth_assertion")
    def _keys_for_assertions(self) -> None:
        if self.assertions.ring is None and self.identities:
            raise invalid(f"is missing, and {next(iter(self.identities))} has an identity assertion.", NEW_KEY)

    @over("assertion_keys", "client_private_key", "client_key_id", "decryption_keys")
    def _assertion_keys_have_one_purpose(self) -> None:
        """A key of two purposes could make one kind of token pass for another. The keys share one document."""
        client, others = self.provider.client_private_key, list[tuple[PrivateKey, str | None]]()
        if client is not None:
            own = read_private_key(client.get_secret_value())
            others.append((own.key, self.provider.client_key_id or own.kid))
        if self.provider.encryption.decryption is not None:
            others += [(key.key, key.kid) for key in self.provider.encryption.decryption.keys.keys]
        taken, kids = [public_members(key) for key, _ in others], [kid for _, kid in others]
        for key in self.assertions.ring.keys if self.assertions.ring else ():
            if public_members(key.key) in taken:
                raise invalid("contains a key that another setting has.", "Use another key: each has one purpose.")
            if key.kid in kids:
                raise invalid(
                    "contains a kid that a key of another setting has.", "Use another: verifiers choose by it."
                )

    @property
    def publishes_keys(self) -> bool:
        """Whether `/.well-known/jwks.json` is ours."""
        return self.provider.publishes_keys or self.assertions.ring is not None

    @property
    def identities(self) -> Mapping[str, IdentityToken]:
        """The identity assertions, by the prefix of their route, or `/auth/verify`."""
        by_place = {route.prefix: route.identity for route in self.routes} | {VERIFY: self.forward_auth.identity_token}
        return {place: identity for place, identity in by_place.items() if identity is not None}

    @property
    def resources(self) -> tuple[str, ...]:
        """The protected resources of routes (RFC 8707), in a fixed order."""
        tokens = [route.api_token for route in self.routes if isinstance(route.api_token, ResourceToken)]
        return tuple(sorted({token.resource for token in tokens}))

    @property
    def token_issuers(self) -> tuple[str, ...]:
        """The other authorization servers that issue access tokens for routes."""
        tokens = [route.api_token for route in self.routes if isinstance(route.api_token, RequestedToken)]
        issuers = dict.fromkeys(token.issuer for token in tokens if token.issuer is not None)
        return tuple(issuer for issuer in issuers if issuer != self.provider.issuer)

    @property
    def identity_headers(self) -> Mapping[str, tuple[str, ...]]:
        """The names of all identity headers, by the setting that has them."""
        by_route = {
            f"identity_headers of {route.prefix}": tuple(route.identity_headers)
            for route in self.routes
            if route.identity_headers
        }
        assertions = {
            f"assertion of {route.prefix}": (route.assertion.header,) for route in self.routes if route.assertion
        }
        if self.forward_auth.assertion is not None:
            assertions["BFF_FORWARD_AUTH_ASSERTION"] = (self.forward_auth.assertion.header,)
        return {
            "BFF_FORWARD_AUTH_HEADERS": tuple(name for name, _ in self.forward_auth.identity),
            **by_route,
            **assertions,
        }


SECRETS: Final = secrets(Settings)


def load_settings(
    environ: Mapping[str, str] | None = None,
    toml_path: Path | None = None,
    *,
    placeholders: Mapping[str, str] | None = None,
) -> Settings:
    """Reads all sources; without `environ` those of this process.

    Raises ConfigurationErrors, a ConfigurationError that lists every problem, and no secret. `placeholders` replace
    missing or unreadable values, for commands that do not need them.
    """
    return load(Settings, os.environ if environ is None else environ, toml_path, placeholders=placeholders)
