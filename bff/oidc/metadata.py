"""The discovery document: which of the provider's metadata we use, and its validation (OIDC Discovery 1.0)."""

import ipaddress
import re
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


class MetadataRefused(ProviderUnavailable):
    """The discovery document is unusable. `detail` says which field and why; it contains no text of the document."""

    code: ClassVar[str] = "provider_metadata_invalid"
    title: ClassVar[str] = "The identity provider's discovery document cannot be used"


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """The metadata that we use. Every URL has been validated; a missing endpoint is None."""

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


def parse_metadata(document: bytes, issuer: str) -> ProviderMetadata:
    """Parses a discovery document whose `issuer` must equal ours exactly.

    Raises MetadataRefused (OIDC Discovery section 4.3, RFC 8414 section 3.3).
    """
    try:
        fields = read_object(document, max_bytes=MAX_METADATA_BYTES)
    except JsonRefused as refused:
        raise MetadataRefused(f"The discovery document is {refused}.") from None
    if fields.get("issuer") != issuer:
        raise MetadataRefused(
            "issuer: the discovery document names another issuer than the one configured. "
            "They must be equal, the trailing slash included."
        )
    http_allowed = _is_loopback_http(issuer)
    _require_code_flow(fields)
    return ProviderMetadata(
        issuer=issuer,
        authorization_endpoint=_required_url(fields, "authorization_endpoint", http_allowed),
        token_endpoint=_required_url(fields, "token_endpoint", http_allowed),
        jwks_uri=_required_url(fields, "jwks_uri", http_allowed),
        userinfo_endpoint=_url(fields, "userinfo_endpoint", http_allowed),
        end_session_endpoint=_url(fields, "end_session_endpoint", http_allowed),
        revocation_endpoint=_url(fields, "revocation_endpoint", http_allowed),
        pushed_authorization_request_endpoint=_url(fields, "pushed_authorization_request_endpoint", http_allowed),
        require_pushed_authorization_requests=fields.get("require_pushed_authorization_requests") is True,
        authorization_response_iss_parameter_supported=(
            fields.get("authorization_response_iss_parameter_supported") is True
        ),
        token_endpoint_auth_methods_supported=(
            _words(fields, "token_endpoint_auth_methods_supported") or ("client_secret_basic",)
        ),
        id_token_signing_alg_values_supported=_words(fields, "id_token_signing_alg_values_supported") or ("RS256",),
        dpop_signing_alg_values_supported=_words(fields, "dpop_signing_alg_values_supported") or (),
    )


def endpoints_elsewhere(metadata: ProviderMetadata) -> dict[str, str]:
    """The endpoints that are on another host than the issuer, each with that host.

    OIDC Discovery allows it and some providers do it. Where it is unexpected, the document may be forged.
    """
    ours = urlsplit(metadata.issuer).hostname
    urls = {name: getattr(metadata, name) for name in _ENDPOINTS}
    hosts = {name: urlsplit(url).hostname or "" for name, url in urls.items() if url is not None}
    return {name: host for name, host in hosts.items() if host != ours}


def _require_code_flow(fields: dict[str, Any]) -> None:
    response_types = _words(fields, "response_types_supported")
    if response_types is None:
        raise MetadataRefused("response_types_supported: missing.")
    if "code" not in response_types:
        raise MetadataRefused("response_types_supported: the provider does not offer the code flow.")
    grant_types = _words(fields, "grant_types_supported")
    if grant_types is not None and "authorization_code" not in grant_types:
        raise MetadataRefused("grant_types_supported: the provider does not offer authorization_code.")
    challenge_methods = _words(fields, "code_challenge_methods_supported")
    if challenge_methods is not None and "S256" not in challenge_methods:
        raise MetadataRefused("code_challenge_methods_supported: the provider does not offer S256.")


def _words(fields: dict[str, Any], name: str) -> tuple[str, ...] | None:
    """A list of strings, None where the field is absent or null."""
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise MetadataRefused(f"{name}: not a list of strings.")
    return tuple(value)


def _required_url(fields: dict[str, Any], name: str, http_allowed: bool) -> str:
    url = _url(fields, name, http_allowed)
    if url is None:
        raise MetadataRefused(f"{name}: missing.")
    return url


def _url(fields: dict[str, Any], name: str, http_allowed: bool) -> str | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MAX_URL_LENGTH or not _URL_CHARACTERS.fullmatch(value):
        raise MetadataRefused(f"{name}: not a URL.")
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise MetadataRefused(f"{name}: not a URL.") from None
    if parts.scheme != "https" and not (http_allowed and _is_loopback_http(value)):
        raise MetadataRefused(f"{name}: must be https.")
    if not host or parts.username is not None or parts.password is not None or "#" in value:
        raise MetadataRefused(f"{name}: needs a host, and neither a user name nor a fragment.")
    return value


def _is_loopback_http(url: str) -> bool:
    """Development on one machine: http to a loopback address, which no other machine can observe."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme != "http":
            return False
        return host == "localhost" or host.endswith(".localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
