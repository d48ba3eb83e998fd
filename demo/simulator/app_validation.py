"""Validation and defaults of an OpenID Connect app, as in Okta's Apps API."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from demo.simulator.management_errors import invalid

Json = dict[str, Any]
GRANTS = frozenset(
    {
        *("authorization_code", "client_credentials", "implicit", "interaction_code", "password", "refresh_token"),
        *(f"urn:ietf:params:oauth:grant-type:{name}" for name in ("device_code", "jwt-bearer", "token-exchange")),
        "urn:openid:params:grant-type:ciba",
    }
)
METHODS = frozenset({"client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none"})
ENUMS: Mapping[str, frozenset[str]] = {
    "application_type": frozenset({"browser", "native", "service", "web"}),
    "consent_method": frozenset({"REQUIRED", "TRUSTED"}),
    "issuer_mode": frozenset({"CUSTOM_URL", "DYNAMIC", "ORG_URL"}),
    "wildcard_redirect": frozenset({"DISABLED", "SUBDOMAIN"}),
}
READ_ONLY = ("id", "orn", "status", "created", "lastUpdated", "features", "universalLogout", "_links", "_embedded")


def accepted(sent: Any, before: Json | None = None) -> Json:
    """The app as it is stored: validated, without read-only properties, with defaults.

    Raises ApiRefused. `before` is the app that a PUT replaces: everything, except the type, which never changes, and
    `refresh_token`, which is kept if it is omitted.
    """
    if not isinstance(sent, dict):
        raise invalid("app")
    app = {name: value for name, value in copy.deepcopy(sent).items() if name not in READ_ONLY}
    if not isinstance(app.get("label"), str) or not app["label"].strip():
        raise invalid("label", "label: The field cannot be left blank")
    if app.get("name") != "oidc_client" or app.get("signOnMode") != "OPENID_CONNECT":
        raise invalid("signOnMode", "only OpenID Connect apps are simulated")
    client = _member(_member(app, "settings"), "oauthClient")
    credentials = _member(_member(app, "credentials"), "oauthClient")
    client.setdefault("application_type", "web")
    if before is not None:
        old = before["settings"]["oauthClient"]
        if client["application_type"] != old["application_type"]:
            raise invalid("application_type", "application_type: an existing app's type cannot be changed")
        if "refresh_token" in old:
            client.setdefault("refresh_token", old["refresh_token"])
    _fill(client, credentials)
    if causes := tuple(_causes(client, credentials)):
        raise invalid(causes[0].partition(":")[0], *causes)
    return app


def _member(parent: Json, name: str) -> Json:
    member = parent.setdefault(name, {})
    if not isinstance(member, dict):
        raise invalid(name)
    return member


def _fill(client: Json, credentials: Json) -> None:
    public = client["application_type"] in ("browser", "native")
    credentials.setdefault("token_endpoint_auth_method", "none" if public else "client_secret_basic")
    credentials.setdefault("autoKeyRotation", True)
    credentials.setdefault("pkce_required", public)
    for name, value in (
        ("consent_method", "TRUSTED"),
        ("issuer_mode", "ORG_URL"),
        ("wildcard_redirect", "DISABLED"),
        ("idp_initiated_login", {"mode": "DISABLED", "default_scope": []}),
        ("dpop_bound_access_tokens", False),
    ):
        client.setdefault(name, value)
    if "refresh_token" in client.get("grant_types", ()):
        rotation = "ROTATE" if client["application_type"] == "browser" else "STATIC"
        client.setdefault("refresh_token", {"rotation_type": rotation, "leeway": 30})
    if isinstance(client.get("refresh_token"), dict):
        client["refresh_token"].setdefault("leeway", 30)


def _causes(client: Json, credentials: Json) -> Iterator[str]:
    grants, responses = client.get("grant_types"), client.get("response_types", [])
    if not isinstance(grants, list) or not grants or not set(grants) <= GRANTS:
        yield "grant_types: a list of known grant types is required"
        return
    for name, values in ENUMS.items():
        if client.get(name) not in values:
            yield f"{name}: must be one of {', '.join(sorted(values))}"
    if "authorization_code" in grants and "code" not in responses:
        yield "response_types: 'code' is required by the grant type 'authorization_code'"
    service = client["application_type"] == "service"  # at Okta its response_types are ["token"]
    if not service and ({"token", "id_token"} & set(responses)) and "implicit" not in grants:
        yield "response_types: 'token' and 'id_token' need the grant type 'implicit'"
    if "authorization_code" in grants and not client.get("redirect_uris"):
        yield "redirect_uris: 'redirect_uris' is required"
    for name in ("redirect_uris", "post_logout_redirect_uris"):
        for uri in client.get(name) or ():
            if not _is_absolute(uri, wildcards=client.get("wildcard_redirect") == "SUBDOMAIN"):
                yield f"{name}: every member must be an absolute URI without a fragment"
    yield from _refresh_causes(client)
    login = client["idp_initiated_login"]
    if not isinstance(login, dict) or login.get("mode") not in ("DISABLED", "SPEC", "OKTA"):
        yield "idp_initiated_login: mode must be DISABLED, SPEC or OKTA"
    elif login["mode"] != "DISABLED" and not client.get("initiate_login_uri"):
        yield "initiate_login_uri: required by the mode of idp_initiated_login"
    method = credentials["token_endpoint_auth_method"]
    if method not in METHODS:
        yield "token_endpoint_auth_method: unknown"
    if method == "private_key_jwt" and not (client.get("jwks") or {}).get("keys") and not client.get("jwks_uri"):
        yield "jwks: 'jwks' or 'jwks_uri' is required by private_key_jwt"
    if method == "none" and not credentials["pkce_required"]:
        yield "pkce_required: required of a client without authentication"


def _refresh_causes(client: Json) -> Iterator[str]:
    if (refresh := client.get("refresh_token")) is None:
        return
    if not isinstance(refresh, dict) or refresh.get("rotation_type") not in ("ROTATE", "STATIC"):
        yield "refresh_token: 'rotation_type' is required"
    elif type(refresh["leeway"]) is not int or not 0 <= refresh["leeway"] <= 60:
        yield "refresh_token: 'leeway' must be 0 to 60"


def _is_absolute(uri: Any, *, wildcards: bool) -> bool:
    if not isinstance(uri, str) or "#" in uri or ("*" in uri and not (wildcards and uri.startswith("https:"))):
        return False
    parts = urlsplit(uri)
    return bool(parts.scheme and parts.netloc)
