"""The app integration as a value: compares an Okta app object with the desired state, and returns a changed copy.

Pure. Okta's PUT replaces the whole app, so properties that are not in `bff.admin.okta.app_properties` are copied
unchanged.
"""

import copy
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from bff.admin.okta.app_properties import CLIENT, CREDENTIALS, properties
from bff.admin.okta.desired import Desired
from bff.admin.okta.difference import Difference, Findings

Json: TypeAlias = dict[str, Any]
# The marker of apps that this command created, which may be changed without asking; visible in the app's notes for
# administrators.
MARK: Final = "Managed by `bff okta apply`."
_NOTES: Final = ("settings", "notes", "admin")


def new_app(desired: Desired) -> Json:
    """The body of `POST /api/v1/apps`."""
    start: Json = {
        "name": "oidc_client",
        "label": desired.label,
        "signOnMode": "OPENID_CONNECT",
        "credentials": {"oauthClient": {}},
        "settings": {"oauthClient": {}},
    }
    for managed in properties(desired):
        if (value := managed.desired(None)) is not None:
            _set(start, managed.path, value)
    return marked(start)


def compare(app: Json, desired: Desired) -> Findings:
    if app.get("name") != "oidc_client":
        fix = "Remove BFF_CLIENT_ID, so that `bff okta apply` creates an app."
        why = "This is not an OpenID Connect app integration."
        return Findings((Difference("app", "sign_on_mode", app.get("name"), "oidc_client", why, fix, "manual"),))
    differences = []
    for managed in properties(desired):
        actual = _get(app, managed.path)
        actual = managed.default if actual is None else actual
        expected = managed.desired(actual)
        if actual != expected:
            fix = (
                managed.console if managed.by == "manual" else f"`bff okta apply` sets it; manually: {managed.console}."
            )
            differences.append(Difference("app", managed.name, actual, expected, managed.why, fix, managed.by))
    return Findings(tuple(differences), tuple(_notes(app, desired)))


def changed(app: Json, desired: Desired) -> Json:
    """A copy with every managed property as desired, marked as ours; everything else unchanged."""
    copied = copy.deepcopy(app)
    for managed in properties(desired):
        if managed.by == "apply":
            actual = _get(copied, managed.path)
            expected = managed.desired(managed.default if actual is None else actual)
            if actual is not None or expected != managed.default:
                _set(copied, managed.path, expected)
    return marked(copied)


def is_marked(app: Json) -> bool:
    return MARK in (_get(app, _NOTES) or "")


def marked(app: Json) -> Json:
    if not is_marked(app):
        _set(app, _NOTES, f"{_get(app, _NOTES) or ''}\n{MARK}".strip())
    return app


def client_id_of(app: Json) -> str:
    return str(_get(app, (*CREDENTIALS, "client_id")) or app.get("id", ""))


def _notes(app: Json, desired: Desired) -> Iterator[str]:
    for name, ours in (
        ("redirect_uris", desired.redirect_uris),
        ("post_logout_redirect_uris", desired.post_logout_redirect_uris),
    ):
        if others := [uri for uri in _get(app, (*CLIENT, name)) or [] if uri not in ours and not desired.prune]:
            yield f"{name} also contains {', '.join(others)}: kept. `--prune` removes unknown values."
    if _get(app, (*CLIENT, "network", "connection")) == "ZONE":
        yield (
            "Token requests are limited to network zones: the BFF's outbound addresses must be in them, or "
            "refreshes fail with disallowed_network_zone."
        )
    if desired.public_key is not None and _get(app, (*CLIENT, "jwks_uri")):
        yield "The app has a jwks_uri: Okta reads the client's keys there, so the key must be published at it."
    logout = _get(app, ("universalLogout", "status"))
    if logout != "ENABLED":
        endpoint = f"{desired.settings.browser.public_url}/auth/global-token-revocation"
        yield (
            "Universal Logout is off. The API cannot enable it: Applications > this app > Authentication > Logout > "
            f"Okta system or admin initiates logout; endpoint {endpoint}."
        )


def _get(app: Json, path: tuple[str, ...]) -> Any:
    value: Any = app
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _set(app: Json, path: tuple[str, ...], value: Any) -> None:
    *steps, last = path
    place = app
    for step in steps:
        if not isinstance(place.get(step), dict):
            place[step] = {}
        place = place[step]
    if value is None:
        place.pop(last, None)
    else:
        place[last] = value
