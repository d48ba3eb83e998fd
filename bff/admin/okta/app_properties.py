"""Every managed property of the app integration: the desired value, the reason, and its place in the Admin Console.

Other properties stay unchanged.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from bff.admin.okta.client_key import IDENTITY
from bff.admin.okta.desired import Desired
from bff.admin.okta.needed_tokens import needed_tokens

CLIENT: Final = ("settings", "oauthClient")
CREDENTIALS: Final = ("credentials", "oauthClient")
# RFC 9700 sections 2.1.2 and 2.4: these expose tokens or passwords.
_UNSAFE_GRANTS: Final = frozenset({"implicit", "password"})
_CONSOLE: Final = "Applications > this app > General"


OKTA_ENCRYPTION: Final = "RSA-OAEP-256"  # of those that Okta offers, the one that the BFF decrypts


@dataclass(frozen=True, slots=True)
class Property:
    """`desired` maps the actual value to the desired one; `default` is what Okta assumes for an absent property.

    A desired value of None means that the property must be absent.
    """

    name: str
    path: tuple[str, ...]
    desired: Callable[[Any], Any]
    why: str
    console: str
    default: Any = None
    by: Literal["apply", "manual"] = "apply"


def _exactly(value: Any) -> Callable[[Any], Any]:
    return lambda _: value


def _one_of(preferred: str, *accepted: str) -> Callable[[Any], Any]:
    return lambda actual: actual if actual in accepted else preferred


def _all_of(values: tuple[str, ...], *, prune: bool) -> Callable[[Any], Any]:
    """Ours, after the existing ones; with `prune` only ours, in any order."""

    def desired(actual: Any) -> Any:
        kept = [value for value in actual or [] if not prune or value in values]
        return kept + [value for value in values if value not in kept]

    return desired


def _grants(values: tuple[str, ...]) -> Callable[[Any], Any]:
    """Ours and existing ones, without the insecure ones."""

    def desired(actual: Any) -> Any:
        kept = [value for value in actual or [] if value not in _UNSAFE_GRANTS]
        return kept + [value for value in values if value not in kept]

    return desired


def _key(jwk: Mapping[str, str]) -> Callable[[Any], Any]:
    """Adds our public key to the registered ones; keys with another kid or material are kept."""

    def desired(actual: Any) -> Any:
        keys = list(actual or [])
        same = [key for key in keys if all(key.get(name) == jwk.get(name) for name in (*IDENTITY, "kid"))]
        return keys if same else [*keys, dict(jwk)]

    return desired


def properties(desired: Desired) -> tuple[Property, ...]:
    return tuple(_properties(desired))


def _properties(desired: Desired) -> Iterator[Property]:
    yield Property(
        "application_type",
        (*CLIENT, "application_type"),
        _exactly("web"),
        "Only a web application is a confidential client; the type is fixed when the app is created.",
        "create another app of the type Web Application: remove BFF_CLIENT_ID and run `bff okta apply`",
        by="manual",
    )
    if desired.okta.label is not None:
        why = "BFF_OKTA_LABEL sets it."
        yield Property("label", ("label",), _exactly(desired.label), why, f"{_CONSOLE} > App integration name")
    yield from _addresses(desired)
    yield from _grants_and_tokens(desired)
    yield from _client_authentication(desired)


def _addresses(desired: Desired) -> Iterator[Property]:
    yield Property(
        "redirect_uris",
        (*CLIENT, "redirect_uris"),
        _all_of(desired.redirect_uris, prune=desired.prune),
        "Okta redirects only to registered addresses, compared exactly.",
        f"{_CONSOLE} > Sign-in redirect URIs",
    )
    yield Property(
        "post_logout_redirect_uris",
        (*CLIENT, "post_logout_redirect_uris"),
        _all_of(desired.post_logout_redirect_uris, prune=desired.prune),
        "Without it a sign-out ends on an Okta error page.",
        f"{_CONSOLE} > Sign-out redirect URIs",
    )
    yield Property(
        "initiate_login_uri",
        (*CLIENT, "initiate_login_uri"),
        _exactly(desired.initiate_login_uri),
        "Okta's dashboard, activation mails and password resets start a sign-in there.",
        f"{_CONSOLE} > Initiate login URI",
    )
    yield Property(
        "idp_initiated_login",
        (*CLIENT, "idp_initiated_login", "mode"),
        _exactly("SPEC"),
        (
            "SPEC redirects the browser to the login endpoint; OKTA would send unrequested tokens, and DISABLED hides "
            "the app from the dashboard."
        ),
        f"{_CONSOLE} > Login initiated by: Either Okta or App, Login flow: Redirect to app",
        default="DISABLED",
    )
    yield Property(
        "client_uri",
        (*CLIENT, "client_uri"),
        _exactly(desired.settings.browser.public_url),
        "The app's home page, shown on consent pages.",
        "API only",
    )
    yield Property(
        "wildcard_redirect",
        (*CLIENT, "wildcard_redirect"),
        _exactly("DISABLED"),
        "With a wildcard, an attacker who controls any subdomain receives codes.",
        f"{_CONSOLE} > Sign-in redirect URIs: Allow wildcard, off",
        default="DISABLED",
    )
    custom = desired.on_custom_domain
    yield Property(
        "issuer_mode",
        (*CLIENT, "issuer_mode"),
        _one_of("CUSTOM_URL" if custom else "ORG_URL", "CUSTOM_URL" if custom else "ORG_URL", "DYNAMIC"),
        f"BFF_ISSUER is on {'the custom domain' if custom else 'the org domain'}, and ID tokens must name that issuer.",
        "Applications > this app > Sign On > OpenID Connect ID Token > Issuer",
        default="ORG_URL",
    )
    if desired.frontchannel_logout_uri is not None:
        console, why = f"{_CONSOLE} > Logout", "BFF_OKTA_FRONTCHANNEL_LOGOUT enables front-channel Single Logout."
        for name, value in (
            ("participate_slo", True),
            ("frontchannel_logout_uri", desired.frontchannel_logout_uri),
            ("frontchannel_logout_session_required", True),
        ):
            yield Property(name, (*CLIENT, name), _exactly(value), why, console)


def _grants_and_tokens(desired: Desired) -> Iterator[Property]:
    refreshing = desired.grace is not None
    own_tokens = sorted({token.grant for token in needed_tokens(desired) if token.of_app})
    yield Property(
        "grant_types",
        (*CLIENT, "grant_types"),
        _grants((*(("authorization_code", "refresh_token") if refreshing else ("authorization_code",)), *own_tokens)),
        (
            "The code flow signs users in, refresh tokens keep them signed in; implicit and password expose tokens and "
            "passwords (RFC 9700)."
        ),
        f"{_CONSOLE} > Grant type",
    )
    yield Property(
        "response_types",
        (*CLIENT, "response_types"),
        _exactly(["code"]),
        "Only a code may be returned through the browser, never a token.",
        "set by the grant types",
    )
    if refreshing:
        console = f"{_CONSOLE} > Refresh Token"
        yield Property(
            "refresh_token_rotation",
            (*CLIENT, "refresh_token", "rotation_type"),
            _exactly("ROTATE"),
            (
                "A stolen refresh token that never rotates can be used undetected; Okta's web applications start with "
                "rotation off."
            ),
            f"{console}: Rotate token after every use",
            default="STATIC",
        )
        yield Property(
            "refresh_token_leeway",
            (*CLIENT, "refresh_token", "leeway"),
            _exactly(desired.grace),
            (
                "BFF_REFRESH_GRACE must not exceed Okta's grace period, or a resend after a lost response is treated "
                "as reuse; Terraform leaves it at 0."
            ),
            f"{console}: Grace period for token rotation, in seconds",
            default=30,
        )
    yield Property(
        "dpop_bound_access_tokens",
        (*CLIENT, "dpop_bound_access_tokens"),
        _exactly(desired.dpop),
        (
            "With BFF_DPOP on, tokens are bound to a key of each session; with it off the BFF sends no DPoP proofs, "
            "and every token request would be rejected."
        ),
        f"{_CONSOLE} > Proof of possession: {'on' if desired.dpop else 'off'}",
        default=False,
    )
    yield _id_token_encryption(desired)


def _id_token_encryption(desired: Desired) -> Property:
    """Without our key in Okta the setting would fail every sign-in, so only an administrator enables it."""
    name, path = "id_token_encryption", (*CLIENT, "id_token_encrypted_response_alg")
    decryption = desired.settings.provider.encryption.decryption
    if decryption is None:
        why = "The BFF has no BFF_DECRYPTION_KEYS: every sign-in would fail."
        return Property(name, path, _exactly(None), why, f"{_CONSOLE} > ID token encryption: none")
    accepted = (OKTA_ENCRYPTION,) if decryption.required else (OKTA_ENCRYPTION, None)
    return Property(
        name,
        path,
        lambda actual: actual if actual in accepted else OKTA_ENCRYPTION,
        "BFF_DECRYPTION_KEYS and BFF_ID_TOKEN_ENCRYPTION set it.",
        f"{_CONSOLE} > ID token encryption: {OKTA_ENCRYPTION}, with the key of /.well-known/jwks.json",
        by="manual",
    )


def _client_authentication(desired: Desired) -> Iterator[Property]:
    yield Property(
        "token_endpoint_auth_method",
        (*CREDENTIALS, "token_endpoint_auth_method"),
        _exactly(desired.client_auth),
        "BFF_CLIENT_AUTH sets it; Okta accepts only the registered method."
        + ("" if desired.uses_secret else " Okta deletes the client secrets when it changes to private_key_jwt."),
        f"{_CONSOLE} > Client Credentials > Client authentication",
        default="client_secret_basic",
    )
    yield Property(
        "pkce_required",
        (*CREDENTIALS, "pkce_required"),
        _exactly(True),
        "With it Okta rejects injected codes without PKCE (RFC 9700 section 2.1.1).",
        f"{_CONSOLE} > Client Credentials > Require PKCE as additional verification",
        default=False,
    )
    yield Property(
        "key_rotation",
        (*CREDENTIALS, "autoKeyRotation"),
        _exactly(True),
        "The signing key is pinned: it is published separately and never rotates, so ID tokens cannot be verified.",
        "API only",
        default=True,
    )
    if desired.public_key is not None:
        yield Property(
            "public_key",
            (*CLIENT, "jwks", "keys"),
            _key(desired.public_key),
            f"Okta must know the public half of BFF_CLIENT_PRIVATE_KEY, under the kid {desired.public_key['kid']}; set "
            "BFF_CLIENT_KEY_ID to it where more than one key is registered.",
            f"{_CONSOLE} > Client Credentials > Public keys",
        )
