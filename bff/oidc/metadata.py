"""The discovery document: which of the provider's metadata we use, and its validation (OIDC Discovery 1.0)."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

from bff.errors import ProviderUnavailable
from bff.oidc.strict_json import JsonRefused, read_object

MAX_METADATA_BYTES = 1 << 20
MAX_URL_LENGTH = 2048

# Characters of a URL (RFC 3986). No space, control character or backslash, on which parsers disagree.
_URL_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")


_ENDPOINTS = (
    *("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint"),
    *("revocation_endpoint", "pushed_authorization_request_endpoint"),
)


def discovery_url(issuer: str) -> str:
    """Where the issuer's discovery document is: one terminating slash is not repeated (OIDC Discovery section 4.1)."""
    return issuer.removesuffix("/") + "/.well-known/openid-configuration"


class NoDiscoveryDocument(ProviderUnavailable):
    """The response is no discovery document at all: a maintenance page, a captive portal. It counts as an outage."""


class MetadataRefused(ProviderUnavailable):
    """The discovery document is another issuer's, or lacks what we need: waiting does not help.

    `detail` says which field and why; it contains no text of the document.
    """

    code: ClassVar[str] = "provider_metadata_invalid"
    title: ClassVar[str] = "The identity provider's discovery document cannot be used"


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """The metadata that we use. Every URL has been validated; a missing endpoint is None.

    `ignored`: the optional members that are unusable and therefore count as absent, each with its reason.
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    revocation_endpoint: str | None = None
    pushed_authorization_request_endpoint: str | None = None
    require_pushed_authorization_requests: bool = False
    authorization_response_iss_parameter_supported: bool = False
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    id_token_signing_alg_values_supported: tuple[str, ...] = ("RS256",)
    dpop_signing_alg_values_supported: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def parse_metadata(document: bytes, issuer: str) -> ProviderMetadata:
    """Parses a discovery document whose `issuer` must equal ours exactly.

    Raises MetadataRefused (OIDC Discovery section 4.3, RFC 8414 section 3.3), or NoDiscoveryDocument for a body that
    names no issuer.
    """
    try:
        fields = read_object(document, max_bytes=MAX_METADATA_BYTES)
    except JsonRefused as refused:
        raise NoDiscoveryDocument(f"The discovery document is {refused}.") from None
    if not isinstance(named := fields.get("issuer"), str):
        raise NoDiscoveryDocument("The discovery document names no issuer.")
    if named != issuer:
        raise MetadataRefused(
            "issuer: the discovery document names another issuer than the one configured. "
            "They must be equal, the trailing slash included."
        )
    members = Members(fields, http_allowed=is_loopback_http(issuer))
    _require_code_flow(members)
    return ProviderMetadata(
        issuer=issuer,
        authorization_endpoint=members.required_url("authorization_endpoint"),
        token_endpoint=members.required_url("token_endpoint"),
        jwks_uri=members.required_url("jwks_uri"),
        userinfo_endpoint=members.url("userinfo_endpoint"),
        end_session_endpoint=members.url("end_session_endpoint"),
        revocation_endpoint=members.url("revocation_endpoint"),
        pushed_authorization_request_endpoint=members.url("pushed_authorization_request_endpoint"),
        require_pushed_authorization_requests=members.flag("require_pushed_authorization_requests"),
        authorization_response_iss_parameter_supported=members.flag("authorization_response_iss_parameter_supported"),
        token_endpoint_auth_methods_supported=(
            members.words("token_endpoint_auth_methods_supported") or ("client_secret_basic",)
        ),
        id_token_signing_alg_values_supported=members.words("id_token_signing_alg_values_supported") or ("RS256",),
        dpop_signing_alg_values_supported=members.words("dpop_signing_alg_values_supported") or (),
        ignored=tuple(members.ignored),
    )


class Members:
    """Reads members of a document of the provider. An optional one that is unusable is collected in `ignored`."""

    def __init__(self, fields: Mapping[str, Any], *, http_allowed: bool) -> None:
        self._fields, self._http_allowed = fields, http_allowed
        self.ignored: list[str] = []

    def words(self, name: str) -> tuple[str, ...] | None:
        """A list of strings; None where it is absent, null or unusable."""
        value = self._fields.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            self.ignored.append(f"{name}: not a list of strings.")
            return None
        return tuple(value)

    def flag(self, name: str) -> bool:
        return self._fields.get(name) is True

    def url(self, name: str) -> str | None:
        """A URL; None where it is absent, null or unusable."""
        value = self._fields.get(name)
        problem = None if value is None else self._problem_of_url(value)
        if problem is not None:
            self.ignored.append(f"{name}: {problem}")
            return None
        return value

    def required_url(self, name: str) -> str:
        """Raises MetadataRefused."""
        value = self._fields.get(name)
        problem = "missing." if value is None else self._problem_of_url(value)
        if problem is not None:
            raise MetadataRefused(f"{name}: {problem}")
        return str(value)

    def _problem_of_url(self, value: Any) -> str | None:
        if not isinstance(value, str) or len(value) > MAX_URL_LENGTH or not _URL_CHARACTERS.fullmatch(value):
            return "not a URL."
        try:
            parts = urlsplit(value)
            host, _ = parts.hostname, parts.port
        except ValueError:
            return "not a URL."
        if parts.scheme != "https" and not (self._http_allowed and is_loopback_http(value)):
            return "must be https."
        if not host or parts.username is not None or parts.password is not None or "#" in value:
            return "needs a host, and neither a user name nor a fragment."
        return None


def endpoints_elsewhere(metadata: ProviderMetadata) -> dict[str, str]:
    """The endpoints that are on another host than the issuer, each with that host.

    OIDC Discovery allows it and some providers do it. Where it is unexpected, the document may be forged.
    """
    ours = urlsplit(metadata.issuer).hostname
    urls = {name: getattr(metadata, name) for name in _ENDPOINTS}
    hosts = {name: urlsplit(url).hostname or "" for name, url in urls.items() if url is not None}
    return {name: host for name, host in hosts.items() if host != ours}


def _require_code_flow(members: Members) -> None:
    response_types = members.words("response_types_supported")
    if response_types is None:
        raise MetadataRefused("response_types_supported: missing.")
    if "code" not in response_types:
        raise MetadataRefused("response_types_supported: the provider does not offer the code flow.")
    grant_types = members.words("grant_types_supported")
    if grant_types is not None and "authorization_code" not in grant_types:
        raise MetadataRefused("grant_types_supported: the provider does not offer authorization_code.")
    challenge_methods = members.words("code_challenge_methods_supported")
    if challenge_methods is not None and "S256" not in challenge_methods:
        raise MetadataRefused("code_challenge_methods_supported: the provider does not offer S256.")


def is_loopback_http(url: str) -> bool:
    """Development on one machine: http to a loopback address, which no other machine can observe."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme != "http":
            return False
        return host == "localhost" or host.endswith(".localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
