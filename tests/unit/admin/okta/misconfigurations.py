"""Misconfigurations that people lose days to, each as somebody would make it: in the org, or in the settings."""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.unit.admin.okta.org import PUBLIC_URL, Json, Operator, client_of

Plant = Callable[[Operator, str], Awaitable[None]]


def in_app(change: Callable[[Json], object]) -> Plant:
    async def plant(operator: Operator, client_id: str) -> None:
        await operator.change_app(client_id, change)

    return plant


def in_client(**values: Any) -> Plant:
    return in_app(lambda app: client_of(app).update(values))


def in_credentials(**values: Any) -> Plant:
    return in_app(lambda app: app["credentials"]["oauthClient"].update(values))


def of_settings(**values: str) -> Plant:
    async def plant(operator: Operator, _: str) -> None:
        operator.environ |= values

    return plant


async def no_group(operator: Operator, client_id: str) -> None:
    for group in await operator.api("GET", f"apps/{client_id}/groups"):
        await operator.api("DELETE", f"apps/{client_id}/groups/{group['id']}")


async def nobody(operator: Operator, client_id: str) -> None:
    await no_group(operator, client_id)
    operator.environ["BFF_OKTA_GROUPS"] = ""


async def no_access_policy(operator: Operator, _: str) -> None:
    operator.okta.control.management.policies.clear()


async def policy_for_another_client(operator: Operator, _: str) -> None:
    for policy in operator.okta.control.management.policies.values():
        policy.body["conditions"]["clients"]["include"] = ["0oasomebodyelse00001"]


async def policy_without_the_code_grant(operator: Operator, _: str) -> None:
    for policy in operator.okta.control.management.policies.values():
        policy.rules[0]["conditions"]["grantTypes"]["include"] = ["client_credentials"]


async def inactive_app(operator: Operator, client_id: str) -> None:
    await operator.api("POST", f"apps/{client_id}/lifecycle/deactivate")


async def inactive_server(operator: Operator, _: str) -> None:
    operator.okta.control.management.server["status"] = "INACTIVE"


async def server_on_custom_domain(operator: Operator, _: str) -> None:
    """Somebody gave the org a custom domain, and the server its issuer."""
    operator.okta.control.management.server |= {
        "issuerMode": "CUSTOM_URL",
        "issuer": "https://login.example.com/oauth2/default",
    }


async def app_on_org_domain(operator: Operator, client_id: str) -> None:
    """The BFF's issuer is on the custom domain, the app names the org's: `localhost` is a second host of one org."""
    operator.environ |= {
        "BFF_OKTA_ORG_URL": operator.okta.base_url,
        "BFF_ISSUER": operator.okta.base_url.replace("127.0.0.1", "localhost"),
    }


async def wrong_secret(operator: Operator, client_id: str) -> None:
    operator.environ |= {"BFF_CLIENT_ID": client_id, "BFF_CLIENT_SECRET": "a-secret-of-another-app-0123456789"}


async def retired_secret(operator: Operator, client_id: str) -> None:
    made = await operator.api("POST", f"apps/{client_id}/credentials/secrets", {"status": "ACTIVE"})
    for secret in await operator.api("GET", f"apps/{client_id}/credentials/secrets"):
        if secret["id"] != made["id"]:
            await operator.api("POST", f"apps/{client_id}/credentials/secrets/{secret['id']}/lifecycle/deactivate")


async def implicit(operator: Operator, client_id: str) -> None:
    def change(app: Json) -> None:
        client_of(app)["grant_types"].append("implicit")
        client_of(app)["response_types"] += ["token", "id_token"]

    await operator.change_app(client_id, change)


async def trusted_origin_without_redirect(operator: Operator, _: str) -> None:
    operator.environ["BFF_OKTA_TRUSTED_ORIGINS"] = PUBLIC_URL
    body = {"name": "SPA", "origin": PUBLIC_URL, "scopes": [{"type": "CORS"}]}
    await operator.api("POST", "trustedOrigins", body)


# What is planted; the difference that names it; a word of the fix; whether `apply` fixes it.
PLANTED: dict[str, tuple[Plant, str, str, bool]] = {
    "missing-redirect-uri": (in_client(redirect_uris=["https://old.example.com/cb"]), "redirect_uris", "Sign-in", True),
    "redirect-uri-with-a-slash-too-many": (
        in_client(redirect_uris=[f"{PUBLIC_URL}/authorization-code/callback/"]),
        "redirect_uris",
        "Sign-in redirect URIs",
        True,
    ),
    "missing-sign-out-uri": (in_client(post_logout_redirect_uris=[]), "post_logout_redirect_uris", "Sign-out", True),
    "rotation-off": (
        in_client(refresh_token={"rotation_type": "STATIC", "leeway": 30}),
        "refresh_token_rotation",
        "Rotate token after every use",
        True,
    ),
    "leeway-0-as-terraform-leaves-it": (
        in_client(refresh_token={"rotation_type": "ROTATE", "leeway": 0}),
        "refresh_token_leeway",
        "Grace period",
        True,
    ),
    "no-refresh-token-grant": (in_client(grant_types=["authorization_code"]), "grant_types", "Grant type", True),
    "implicit-grant": (implicit, "grant_types", "Grant type", True),
    "pkce-not-required": (in_credentials(pkce_required=False), "pkce_required", "Require PKCE", True),
    "pinned-keys": (in_credentials(autoKeyRotation=False), "key_rotation", "API only", True),
    "other-client-authentication": (
        in_credentials(token_endpoint_auth_method="client_secret_post"),
        "token_endpoint_auth_method",
        "Client authentication",
        True,
    ),
    "wildcard-redirects": (in_client(wildcard_redirect="SUBDOMAIN"), "wildcard_redirect", "Allow wildcard", True),
    "no-initiate-login-uri": (
        in_client(initiate_login_uri=None, idp_initiated_login={"mode": "DISABLED"}),
        "initiate_login_uri",
        "Initiate login URI",
        True,
    ),
    "tokens-that-nobody-asked-for": (
        in_client(idp_initiated_login={"mode": "OKTA", "default_scope": ["openid"]}),
        "idp_initiated_login",
        "Redirect to app",
        True,
    ),
    "dpop-required": (
        in_client(dpop_bound_access_tokens=True),
        "dpop_bound_access_tokens",
        "Proof of possession",
        True,
    ),
    "encrypted-id-tokens": (
        in_client(id_token_encrypted_response_alg="RSA-OAEP-256"),
        "id_token_encryption",
        "ID token encryption",
        True,
    ),
    "no-group": (no_group, "group_not_assigned", "Assign to Groups", True),
    "nobody-assigned": (nobody, "no_assignment", "BFF_OKTA_GROUPS", False),
    "unknown-group": (of_settings(BFF_OKTA_GROUPS="Everyone, Byers"), "group_unknown", "Directory > Groups", False),
    "inactive-app": (inactive_app, "app_status", "activates", True),
    "no-access-policy": (no_access_policy, "access_policy", "Add Policy", True),
    "access-policy-for-another-client": (policy_for_another_client, "access_policy", "Add Policy", True),
    "access-policy-without-the-code-grant": (policy_without_the_code_grant, "access_policy", "Add Rule", True),
    "inactive-authorization-server": (inactive_server, "server_status", "Active", False),
    "custom-domain-issuer": (server_on_custom_domain, "issuer", "https://login.example.com/oauth2/default", False),
    "org-issuer-on-a-custom-domain": (app_on_org_domain, "issuer_mode", "OpenID Connect ID Token", True),
    "wrong-secret": (wrong_secret, "client_secret", "active secret", True),
    "retired-secret": (retired_secret, "client_secret", "active secret", True),
    "trusted-origin-without-redirect": (trusted_origin_without_redirect, "trusted_origin", "Trusted Origins", True),
    "another-label": (of_settings(BFF_OKTA_LABEL="Shop"), "label", "App integration name", True),
    "front-channel-logout-off": (
        of_settings(BFF_OKTA_FRONTCHANNEL_LOGOUT="true"),
        "frontchannel_logout_uri",
        "Logout",
        True,
    ),
}
