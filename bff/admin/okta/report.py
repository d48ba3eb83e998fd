"""The output of the commands, as text and as JSON. No secret appears in it but the one that `--show-secret` prints."""

import json
from typing import Any

from bff.admin.okta.app_integration import client_id_of, is_marked
from bff.admin.okta.app_properties import CLIENT, CREDENTIALS
from bff.admin.okta.credentials_file import CredentialsFile
from bff.admin.okta.difference import Difference
from bff.admin.okta.provision import Applied, OrgView, Plan

# The app properties that `show` prints; others (links, visibility, templates) are managed by the org.
_SHOWN = (
    *("application_type", "redirect_uris", "post_logout_redirect_uris", "initiate_login_uri", "idp_initiated_login"),
    *("client_uri", "grant_types", "response_types", "refresh_token", "issuer_mode", "wildcard_redirect"),
    *("dpop_bound_access_tokens", "participate_slo", "frontchannel_logout_uri", "frontchannel_logout_session_required"),
)


def plan_lines(planned: Plan) -> list[str]:
    desired, findings = planned.desired, planned.findings
    app = planned.view.app
    named = f"{app.get('label')} ({app.get('id')})" if app is not None else f"{desired.label} (does not exist yet)"
    lines = [f"Org {desired.org_url}, app integration {named}"]
    for difference in findings.differences:
        lines += _difference(difference)
    lines += [f"  note: {note}" for note in findings.notes]
    manual = sum(difference.by == "manual" for difference in findings.differences)
    if not findings.differences:
        return [*lines, "Nothing differs."]
    left = f", {manual} of them manual" if manual else ""
    lines += ["  ~ `bff okta apply` changes it   ! change it manually   - what the org has   + what the settings need"]
    noun = "difference" if len(findings.differences) == 1 else "differences"
    return [*lines, f"{len(findings.differences)} {noun}{left}."]


def _difference(difference: Difference) -> list[str]:
    lines = [f"  {'~' if difference.by == 'apply' else '!'} {difference.name}"]
    if isinstance(difference.actual, list) and isinstance(difference.expected, list):
        lines += [f"      - {_value(value)}" for value in difference.actual if value not in difference.expected]
        lines += [f"      + {_value(value)}" for value in difference.expected if value not in difference.actual]
    else:
        lines += [f"      - {_value(difference.actual)}", f"      + {_value(difference.expected)}"]
    return [*lines, f"      {difference.why}", f"      {difference.fix}"]


def _value(value: Any) -> str:
    if value is None:
        return "(nothing)"
    if isinstance(value, dict) and "kid" in value:
        return f"key {value['kid']}"
    return value if isinstance(value, str) else json.dumps(value)


def plan_json(planned: Plan) -> dict[str, Any]:
    return {
        "org_url": planned.desired.org_url,
        "app": _app(planned.view),
        "differs": bool(planned.findings.differences),
        "differences": [difference.as_json() for difference in planned.findings.differences],
        "notes": list(planned.findings.notes),
    }


def applied_lines(planned: Plan, applied: Applied, target: CredentialsFile | None, secret: str | None) -> list[str]:
    lines = []
    if applied.created or applied.changed:
        lines.append(f"The app integration matches the settings. Client ID: {applied.client_id}")
    else:
        lines.append(f"Nothing to change. Client ID: {applied.client_id}")
    if applied.written is not None and target is not None:
        lines.append(f"Credentials are in {applied.written} (mode 0600).")
        if target.content == "secret":
            lines.append(f"Set BFF_CLIENT_ID={applied.client_id} and BFF_CLIENT_SECRET_FILE={applied.written}.")
    if secret is not None:
        lines.append(f"The client secret: {secret}")
    if applied.left:
        lines.append("Manual steps left:")
        for difference in applied.left:
            lines += _difference(difference)
    return [*lines, *(f"  note: {note}" for note in planned.findings.notes)]


def applied_json(planned: Plan, applied: Applied, secret: str | None) -> dict[str, Any]:
    content = {
        "client_id": applied.client_id,
        "created": applied.created,
        "changed": list(applied.changed),
        "left": [difference.as_json() for difference in applied.left],
        "written": applied.written,
        "notes": list(planned.findings.notes),
    }
    return {**content, "client_secret": secret} if secret is not None else content


def show_json(view: OrgView) -> dict[str, Any]:
    assert view.app is not None
    client, credentials = view.app.get(CLIENT[0], {}).get(CLIENT[1], {}), view.app.get(CREDENTIALS[0], {})
    oauth = credentials.get(CREDENTIALS[1], {})
    fields = {
        **(_app(view) or {}),
        **{name: client[name] for name in _SHOWN if name in client},
        "token_endpoint_auth_method": oauth.get("token_endpoint_auth_method"),
        "pkce_required": oauth.get("pkce_required"),
        "public_keys": [key.get("kid") for key in client.get("jwks", {}).get("keys", [])],
        "secrets": [{"id": secret.id, "status": secret.status, "created": secret.created} for secret in view.secrets],
        "groups": sorted(view.groups.assigned),
    }
    if view.policies is not None:
        fields["access_policies"] = [policy.get("name") for policy, _ in view.policies.policies]
    if view.stream is not None:
        fields["event_stream"] = view.stream.as_json()
    if view.tokens is not None:
        fields["token_servers"] = view.tokens.as_json()
    return fields


def show_lines(view: OrgView) -> list[str]:
    lines = []
    for name, value in show_json(view).items():
        values = value if isinstance(value, list) else [value]
        for place, item in enumerate(values or ["(none)"]):
            lines.append(f"{name if place == 0 else '':30} {_value(item)}")
    return lines


def _app(view: OrgView) -> dict[str, Any] | None:
    if view.app is None:
        return None
    return {
        "id": view.app.get("id"),
        "client_id": client_id_of(view.app),
        "label": view.app.get("label"),
        "status": view.app.get("status"),
        "managed_by_bff_okta": is_marked(view.app),
    }
