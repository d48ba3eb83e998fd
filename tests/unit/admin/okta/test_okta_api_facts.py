"""Every request that the commands send is held against Okta's public description of its API."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.harness.okta_org import Json, Operator, client_of

FACTS: Json = json.loads(Path(__file__).with_name("okta_api_facts.json").read_text("utf-8"))
ID = re.compile(r"^(0oa|ocs|00g|tos|00p|0pr|aus)[A-Za-z0-9]{17}$|^default$")
# Only routes with tokens of their own need these: tests/unit/admin/okta/test_api_tokens.py.
OF_ROUTE_TOKENS = {
    "GET /api/v1/authorizationServers/{id}/scopes",
    "GET /api/v1/authorizationServers/{id}/associatedServers",
    "POST /api/v1/authorizationServers/{id}/associatedServers",
}
KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


def template(path: str) -> str:
    return "/".join("{id}" if ID.match(part) else part for part in path.split("/"))


def invalid(value: Any, schema: Json, place: str = "") -> Iterator[str]:
    """What in `value` the description does not allow."""
    if schema.get("readOnly"):
        yield f"{place} is read-only"
    kinds = KINDS.get(schema.get("type", ""))
    if kinds is not None and (not isinstance(value, kinds) or (kinds == (int,) and isinstance(value, bool))):
        yield f"{place} is no {schema['type']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{place} is {value!r}, not one of {schema['enum']}"
    size = len(value) if isinstance(value, str | list) else value
    for name, outside in (
        ("minimum", lambda limit: size < limit),
        ("maximum", lambda limit: size > limit),
        ("minLength", lambda limit: len(value) < limit),
        ("maxLength", lambda limit: len(value) > limit),
    ):
        if name in schema and outside(schema[name]):
            yield f"{place} breaks {name} {schema[name]}"
    if isinstance(value, dict) and "properties" in schema:
        for name in schema.get("required", ()):
            if name not in value:
                yield f"{place}.{name} is missing"
        for name, member in value.items():
            if name in schema["properties"]:
                yield from invalid(member, schema["properties"][name], f"{place}.{name}")
            elif not schema.get("open"):
                yield f"{place}.{name} is unknown"
    if isinstance(value, list) and "items" in schema:
        for position, member in enumerate(value):
            yield from invalid(member, schema["items"], f"{place}[{position}]")


def writable(method: str, name: str, body: Json) -> Json:
    """A PUT sends back what a GET gave; of that, Okta ignores what is read-only, and so do we here."""
    if method != "PUT":
        return body
    read_only = FACTS["schemas"]["app_read_only"] if name == "app" else []
    properties = FACTS["schemas"][name]["properties"]
    return {
        key: value
        for key, value in body.items()
        if key not in read_only and not properties.get(key, {}).get("readOnly") and key != "_links"
    }


def violations(method: str, target: str, body: Json | None) -> list[str]:
    parts = urlsplit(target)
    operation = FACTS["operations"].get(f"{method} {template(parts.path)}")
    if operation is None:
        return [f"{method} {parts.path} is no operation"]
    found = []
    for name, value in parse_qsl(parts.query):
        if name not in operation["query"]:
            found.append(f"{method} {parts.path}: no query parameter {name}")
            continue
        schema = operation["query"][name]
        typed = int(value) if schema.get("type") == "integer" else value
        found += invalid(typed, {key: schema[key] for key in ("minimum", "maximum") if key in schema}, name)
    if operation["body"] is not None and body is None:
        found.append(f"{method} {parts.path}: a body is missing")
    if body is not None:
        if operation["body"] is None:
            found.append(f"{method} {parts.path}: takes no body")
        else:
            sent = writable(method, operation["body"], body)
            found += invalid(sent, FACTS["schemas"][operation["body"]], operation["body"])
    return found


async def test_every_request_of_every_command_is_one_that_okta_describes(operator: Operator, key_file: Path) -> None:
    heard = operator.okta.control.management.requests
    client_id = await operator.apply()
    sent = list(heard)

    def damage(app: Json) -> None:
        client_of(app).update(grant_types=["authorization_code"], redirect_uris=["https://x.example.com/cb"])
        client_of(app).pop("initiate_login_uri")
        client_of(app)["idp_initiated_login"] = {"mode": "DISABLED"}

    await operator.change_app(client_id, damage)
    await operator.api("POST", f"apps/{client_id}/lifecycle/deactivate")
    for group in await operator.api("GET", f"apps/{client_id}/groups"):
        await operator.api("DELETE", f"apps/{client_id}/groups/{group['id']}")
    origin = {"name": "x", "origin": "https://app.example.com", "scopes": [{"type": "CORS"}]}
    created = await operator.api("POST", "trustedOrigins", origin)
    await operator.api("POST", f"trustedOrigins/{created['id']}/lifecycle/deactivate")
    operator.environ |= {
        "BFF_OKTA_TRUSTED_ORIGINS": "https://app.example.com https://other.example.com",
        "BFF_OKTA_FRONTCHANNEL_LOGOUT": "true",
        "BFF_OKTA_LABEL": "Another label",
    }
    heard.clear()  # what an administrator did by hand is not ours
    for command in ("plan", "apply", "show", "rotate-secret"):
        assert (await operator.bff_okta(command)).code in (0, 2)
    assert (await operator.doctor()).code == 0
    assert (await operator.bff_okta("rotate-secret", "--retire")).code == 0
    assert (await operator.bff_okta("rotate-secret", "--retire")).code == 0
    operator.environ |= {"BFF_CLIENT_AUTH": "private_key_jwt", "BFF_CLIENT_PRIVATE_KEY_FILE": str(key_file)}
    assert (await operator.bff_okta("apply")).code == 0
    sent += heard
    assert [found for request in sent for found in violations(*request)] == []
    used = {f"{method} {template(urlsplit(target).path)}" for method, target, _ in sent}
    assert set(FACTS["operations"]) - OF_ROUTE_TOKENS <= used


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        ({"label": "x", "signOnMode": "OPENID_CONNECT"}, "is missing"),
        ({"signOnMode": "OIDC"}, "not one of"),
        ({"settings": {"oauthClient": {"grant_types": ["code"]}}}, "not one of"),
        ({"settings": {"oauthClient": {"refresh_token": {"leeway": 61, "rotation_type": "ROTATE"}}}}, "breaks maximum"),
        ({"settings": {"oauthClient": {"refresh_token": {"leeway": 30}}}}, "rotation_type is missing"),
        ({"settings": {"oauthClient": {"redirect_uri": "x"}}}, "redirect_uri is unknown"),
        ({"settings": {"oauthClient": {"participate_slo": "true"}}}, "is no boolean"),
        ({"credentials": {"oauthClient": {"client_secret": "short"}}}, "breaks minLength"),
    ],
)
def test_the_comparison_finds_invalid_bodies(body: Json, finding: str) -> None:
    assert [problem for problem in violations("POST", "/api/v1/apps?activate=true", body) if finding in problem]


def test_the_comparison_finds_unknown_operations_and_parameters() -> None:
    assert violations("GET", "/api/v1/apps?limit=201", None) == ["limit breaks maximum 200"]
    assert violations("GET", "/api/v1/apps?size=20", None) == ["GET /api/v1/apps: no query parameter size"]
    assert violations("PATCH", "/api/v1/apps", None) == ["PATCH /api/v1/apps is no operation"]
