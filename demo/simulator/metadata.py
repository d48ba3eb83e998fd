"""Discovery documents and the key set, as Okta publishes them."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from demo.simulator import dpop, okta_errors
from demo.simulator.config import TOKEN_EXCHANGE
from demo.simulator.org import AuthorizationServer, Org

SCOPES = ("openid", "email", "profile", "address", "phone", "offline_access", "groups")
CLIENT_AUTH_METHODS = ["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none"]
CLAIMS = (
    "iss ver sub aud iat exp jti auth_time amr idp nonce name nickname preferred_username given_name middle_name "
    "family_name email email_verified profile zoneinfo locale address phone_number picture website gender birthdate "
    "updated_at at_hash c_hash"
)


def openid_configuration(org: Org, server: AuthorizationServer) -> dict[str, Any]:
    def url(name: str) -> str:
        return f"{org.base_url}{server.endpoints}/{name}"

    pushed = {"pushed_authorization_request_endpoint": url("par")} if org.config.pushed_requests else {}
    return {
        "issuer": server.issuer,
        "authorization_endpoint": url("authorize"),
        "token_endpoint": url("token"),
        "userinfo_endpoint": url("userinfo"),
        "registration_endpoint": f"{org.base_url}/oauth2/v1/clients",
        "jwks_uri": url("keys"),
        "response_types_supported": ["code", "id_token", "code id_token", "code token", "id_token token"],
        "response_modes_supported": ["query", "fragment", "form_post", "okta_post_message"],
        "grant_types_supported": ["authorization_code", "implicit", "refresh_token", "password"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": scopes(server),
        "token_endpoint_auth_methods_supported": CLIENT_AUTH_METHODS,
        "claims_supported": CLAIMS.split(),
        "code_challenge_methods_supported": ["S256"],
        "introspection_endpoint": url("introspect"),
        "introspection_endpoint_auth_methods_supported": CLIENT_AUTH_METHODS,
        "revocation_endpoint": url("revoke"),
        "revocation_endpoint_auth_methods_supported": CLIENT_AUTH_METHODS,
        "end_session_endpoint": url("logout"),
        "request_parameter_supported": False,  # Okta's says true; request objects are not simulated
        "dpop_signing_alg_values_supported": dpop.ALGORITHMS,
        **pushed,
    }


def scopes(server: AuthorizationServer) -> list[str]:
    """Those of OpenID Connect, and the server's own."""
    return [*SCOPES, *sorted(server.custom.scopes if server.custom is not None else ())]


async def discovery(org: Org, server: AuthorizationServer, request: Request) -> Response:
    """With a `client_id` Okta returns the issuer of that client's issuer mode, the grant type of token exchange if that
    client has it, and 400 for an unknown client.
    """
    client_id = request.query_params.get("client_id")
    if client_id is not None and client_id not in org.clients:
        return okta_errors.UNKNOWN_METADATA_CLIENT.response()
    document = openid_configuration(org, server)
    if client_id is not None and server.custom is not None and TOKEN_EXCHANGE in org.clients[client_id].grant_types:
        document["grant_types_supported"].append(TOKEN_EXCHANGE)
    return JSONResponse(document, headers={"Cache-Control": "max-age=86400, must-revalidate"})


def keys(org: Org) -> Response:
    """In no particular order, cacheable for long: a client that meets an unknown `kid` has to refetch."""
    headers = {"Cache-Control": f"max-age={org.keys.max_age}, must-revalidate"}
    return JSONResponse({"keys": [key.jwk() for key in org.keys.published()]}, headers=headers)
