"""Every managed property of an app: how a wrong one is named, and that a changed copy has it as desired."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from bff.admin.okta.app_integration import MARK, changed, client_id_of, compare, is_marked, new_app
from bff.admin.okta.app_properties import properties
from bff.admin.okta.desired import Desired
from bff.admin.okta.settings import load_okta_settings
from bff.config.settings import load_settings
from bff.oidc.public_jwk import thumbprint
from tests.harness.minting import EC_KEY, private_jwk
from tests.harness.okta_org import API_TOKEN, Json, client_of
from tests.harness.settings import with_changes

CALLBACK = "https://app.example.com/authorization-code/callback"


def desired(*, prune: bool = False, **changes: str) -> Desired:
    okta = {f"BFF_{name.upper()}": changes.pop(name) for name in list(changes) if name.startswith("okta_")}
    environ = {**with_changes(**changes), "BFF_OKTA_API_TOKEN": API_TOKEN, **okta}
    settings = load_settings({name: value for name, value in environ.items() if not name.startswith("BFF_OKTA_")})
    return Desired(settings, load_okta_settings(environ), prune=prune)


DESIRED = desired()
APP = new_app(DESIRED)
SPA = {"application_type": "browser"}

# Changes of settings.oauthClient, the difference that they make, and a word of its fix.
WRONG: list[tuple[Json, str, str]] = [
    ({"redirect_uris": ["https://old.example.com/cb"]}, "redirect_uris", "Sign-in redirect URIs"),
    ({"redirect_uris": [f"{CALLBACK}/"]}, "redirect_uris", "Sign-in"),
    ({"post_logout_redirect_uris": []}, "post_logout_redirect_uris", "Sign-out"),
    ({"initiate_login_uri": None}, "initiate_login_uri", "Initiate login URI"),
    ({"idp_initiated_login": {"mode": "OKTA"}}, "idp_initiated_login", "Redirect to app"),
    ({"idp_initiated_login": {}}, "idp_initiated_login", "Redirect to app"),
    ({"client_uri": "https://old.example.com"}, "client_uri", "API only"),
    ({"wildcard_redirect": "SUBDOMAIN"}, "wildcard_redirect", "Allow wildcard"),
    ({"issuer_mode": "CUSTOM_URL"}, "issuer_mode", "OpenID Connect ID Token"),
    ({"grant_types": ["authorization_code"]}, "grant_types", "Grant type"),
    ({"grant_types": ["authorization_code", "refresh_token", "implicit"]}, "grant_types", "Grant type"),
    ({"response_types": ["code", "token"]}, "response_types", "grant types"),
    ({"refresh_token": {"rotation_type": "STATIC", "leeway": 30}}, "refresh_token_rotation", "after every use"),
    ({"refresh_token": None}, "refresh_token_rotation", "after every use"),
    ({"refresh_token": {"rotation_type": "ROTATE", "leeway": 0}}, "refresh_token_leeway", "Grace period"),
    ({"dpop_bound_access_tokens": True}, "dpop_bound_access_tokens", "Proof of possession: off"),
    ({"id_token_encrypted_response_alg": "RSA-OAEP-256"}, "id_token_encryption", "ID token encryption"),
]
# The same of credentials.oauthClient.
WRONG_CREDENTIALS: list[tuple[Json, str, str]] = [
    ({"token_endpoint_auth_method": "client_secret_post"}, "token_endpoint_auth_method", "Client authentication"),
    ({"pkce_required": False}, "pkce_required", "Require PKCE"),
    ({"pkce_required": None}, "pkce_required", "Require PKCE"),
    ({"autoKeyRotation": False}, "key_rotation", "API only"),
]
PARTS = [*(("settings", *case) for case in WRONG), *(("credentials", *case) for case in WRONG_CREDENTIALS)]


def check_named_and_fixed(app: Json, wanted: Desired, name: str, fix: str) -> None:
    before = copy.deepcopy(app)
    (difference,) = compare(app, wanted).differences
    assert (difference.name, difference.part, difference.by) == (name, "app", "apply")
    assert difference.why
    assert fix in difference.fix
    assert compare(changed(app, wanted), wanted).differences == ()
    assert app == before


@pytest.mark.parametrize(("part", "change", "name", "fix"), PARTS)
def test_a_wrong_property_is_named_with_its_fix(part: str, change: Json, name: str, fix: str) -> None:
    app = copy.deepcopy(APP)
    app[part]["oauthClient"].update(change)
    check_named_and_fixed(app, DESIRED, name, fix)


@pytest.mark.parametrize(
    ("wanted", "name", "fix"),
    [
        (desired(okta_label="Shop"), "label", "App integration name"),
        (desired(dpop="on"), "dpop_bound_access_tokens", "Proof of possession: on"),
        (desired(refresh_grace="45"), "refresh_token_leeway", "Grace period"),
        (desired(okta_development_urls="http://localhost:3000", signed_out_path="/"), "redirect_uris", "Sign-in"),
        (desired(okta_org_url="https://org.okta.com"), "issuer_mode", "OpenID Connect ID Token"),
        (
            desired(client_auth="client_secret_jwt", client_secret="x" * 40),
            "token_endpoint_auth_method",
            "authentication",
        ),
    ],
)
def test_a_setting_that_changed_is_a_difference(wanted: Desired, name: str, fix: str) -> None:
    named = {difference.name: difference for difference in compare(APP, wanted).differences}
    assert fix in named[name].fix
    assert compare(changed(APP, wanted), wanted).differences == ()


def test_frontchannel_logout_is_left_alone_unless_it_is_set() -> None:
    app = copy.deepcopy(APP)
    client_of(app)["participate_slo"] = True
    assert compare(app, DESIRED).differences == ()
    names = [difference.name for difference in compare(APP, desired(okta_frontchannel_logout="true")).differences]
    assert names == ["participate_slo", "frontchannel_logout_uri", "frontchannel_logout_session_required"]


def test_a_new_app_is_as_desired_and_marked_as_ours() -> None:
    assert compare(APP, DESIRED).differences == ()
    assert is_marked(APP)
    assert client_of(APP)["application_type"] == "web"
    assert client_of(APP)["refresh_token"] == {"rotation_type": "ROTATE", "leeway": DESIRED.settings.refresh.grace}
    names = [managed.name for managed in properties(DESIRED)]
    assert len(names) == len(set(names))


def test_without_refresh_tokens_rotation_is_not_managed() -> None:
    wanted = desired(scopes="openid")
    assert client_of(new_app(wanted))["grant_types"] == ["authorization_code"]
    assert "refresh_token" not in client_of(new_app(wanted))


def test_the_type_of_an_app_is_fixed_by_hand() -> None:
    app = copy.deepcopy(APP)
    client_of(app).update(SPA)
    (difference,) = compare(app, DESIRED).differences
    assert (difference.name, difference.by) == ("application_type", "manual")
    assert "Web Application" in difference.fix
    assert client_of(changed(app, DESIRED))["application_type"] == "browser"
    (difference,) = compare({"name": "saml"}, DESIRED).differences
    assert (difference.name, difference.by) == ("sign_on_mode", "manual")


def test_other_properties_and_harmless_grants_stay_as_they_were() -> None:
    app: Json = {
        "name": "oidc_client",
        "label": "Shop",
        "visibility": {"hide": {"iOS": True}},
        "settings": {
            "notes": {"admin": "Ask the shop team.", "enduser": "The shop"},
            "property_of_tomorrow": {"a": [1]},
            "oauthClient": {
                "application_type": "web",
                "redirect_uris": ["https://shop.example.com/cb"],
                "grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:token-exchange", "password"],
                "tos_uri": "https://shop.example.com/terms",
            },
        },
    }
    after = changed(app, DESIRED)
    for name in ("label", "visibility"):
        assert after[name] == app[name]
    assert after["settings"]["property_of_tomorrow"] == {"a": [1]}
    assert after["settings"]["notes"] == {"admin": f"Ask the shop team.\n{MARK}", "enduser": "The shop"}
    assert client_of(after)["tos_uri"] == client_of(app)["tos_uri"]
    assert client_of(after)["redirect_uris"] == ["https://shop.example.com/cb", CALLBACK]
    assert client_of(after)["grant_types"] == [
        "authorization_code",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "refresh_token",
    ]


def test_unknown_redirect_uris_are_noted_and_removed_only_with_prune() -> None:
    app = copy.deepcopy(APP)
    client_of(app)["redirect_uris"].append("https://staging.example.com/cb")
    client_of(app)["network"] = {"connection": "ZONE", "include": ["nzo1"]}
    findings = compare(app, DESIRED)
    assert findings.differences == ()
    notes = "\n".join(findings.notes)
    for note in ("https://staging.example.com/cb: kept", "disallowed_network_zone", "Universal Logout is off"):
        assert note in notes
    check_named_and_fixed(app, desired(prune=True), "redirect_uris", "Sign-in")


@pytest.mark.parametrize(
    ("encryption", "alg", "as_desired"),
    [
        *[("required", "RSA-OAEP-256", True), ("required", None, False), ("required", "RSA-OAEP-512", False)],
        *[("optional", "RSA-OAEP-256", True), ("optional", None, True), ("optional", "RSA-OAEP-512", False)],
    ],
)
def test_encryption_of_id_tokens_follows_the_settings(encryption: str, alg: str | None, as_desired: bool) -> None:
    wanted = desired(decryption_keys=json.dumps(private_jwk(EC_KEY)), id_token_encryption=encryption)
    app = copy.deepcopy(APP)
    if alg is not None:
        client_of(app)["id_token_encrypted_response_alg"] = alg
    named = {difference.name for difference in compare(app, wanted).differences}
    assert ("id_token_encryption" not in named) is as_desired
    # Only an administrator enables it, who also registers the key.
    assert client_of(changed(app, wanted)).get("id_token_encrypted_response_alg") == alg


def test_a_public_key_is_added_beside_registered_ones(key_file: Path, other_key_file: Path) -> None:
    def with_key(path: Path) -> Desired:
        return desired(client_auth="private_key_jwt", client_private_key_file=str(path))

    app, wanted = new_app(with_key(key_file)), with_key(other_key_file)
    (first,) = client_of(app)["jwks"]["keys"]
    assert first.keys() == {"kty", "n", "e", "use", "alg", "kid"}
    assert first["kid"] == thumbprint({name: first[name] for name in ("kty", "n", "e")})
    check_named_and_fixed(app, wanted, "public_key", first["alg"] and "Public keys")
    assert client_of(changed(app, wanted))["jwks"]["keys"] == [first, wanted.public_key]


@pytest.mark.parametrize(
    ("app", "client_id"),
    [({"id": "0oa1"}, "0oa1"), ({"id": "0oa1", "credentials": {"oauthClient": {"client_id": "chosen"}}}, "chosen")],
)
def test_the_client_id_is_the_apps_id_unless_one_was_chosen(app: dict[str, Any], client_id: str) -> None:
    assert client_id_of(app) == client_id
