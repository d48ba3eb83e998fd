"""Reads the org, plans the differences, and applies them.

Each part of the org has its own file; this file has the order. Every step is idempotent, and an interrupted run is
continued by the next.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bff.admin.okta import (
    access_policy,
    api_tokens,
    app_integration,
    assignments,
    client_secrets,
    event_stream,
    trusted_origins,
)
from bff.admin.okta.api_error import OktaManagementError
from bff.admin.okta.client_secrets import ClientSecret
from bff.admin.okta.credentials_file import ClientCredentials, CredentialsFile
from bff.admin.okta.desired import Desired
from bff.admin.okta.difference import Difference, Findings, Part
from bff.admin.okta.management_api import ManagementApi

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class OrgView:
    """The state of the org. `app` None: it does not exist yet."""

    app: Json | None
    secrets: tuple[ClientSecret, ...]
    groups: assignments.Assignments
    origins: tuple[Json, ...]
    policies: access_policy.Policies | None
    stream: event_stream.EventStreamView | None = None
    tokens: api_tokens.ApiTokensView | None = None

    @property
    def client_id(self) -> str | None:
        return None if self.app is None else app_integration.client_id_of(self.app)


@dataclass(frozen=True, slots=True)
class Plan:
    """Empty `findings.differences`: the org matches the settings."""

    desired: Desired
    view: OrgView
    findings: Findings

    @property
    def foreign_app(self) -> Json | None:
        """An app that `apply` would change and that this command did not create: it asks first."""
        app = self.view.app
        parts: tuple[Part, ...] = ("app", "status", "groups", "access_policy")
        if app is not None and not app_integration.is_marked(app) and any(map(self.findings.of, parts)):
            return app
        of_service_app = any(difference.name == "service_app_grants" for difference in self.findings.of("api_tokens"))
        return self.view.tokens.service_app if self.view.tokens is not None and of_service_app else None


@dataclass(frozen=True, slots=True)
class Applied:
    """`changed` names what was fixed; `written` is the file with the credentials, if it changed."""

    client_id: str
    created: bool
    changed: tuple[str, ...]
    left: tuple[Difference, ...]
    written: str | None = None
    secret: str | None = field(default=None, repr=False)


def read_org(api: ManagementApi, desired: Desired) -> OrgView:
    """Raises OktaManagementError."""
    app = find_app(api, desired)
    return OrgView(
        app=app,
        secrets=client_secrets.read(api, app["id"]) if app is not None and desired.uses_secret else (),
        groups=assignments.read(api, app, desired),
        origins=trusted_origins.read(api, desired),
        policies=access_policy.read(api, desired),
        stream=event_stream.read(api, desired),
        tokens=api_tokens.read(api, desired),
    )


def find_app(api: ManagementApi, desired: Desired) -> Json | None:
    """By client id if known, otherwise by exact label. Raises OktaManagementError."""
    if desired.client_id is not None:
        # An app's id is its client id, unless a client id was chosen at creation.
        app = api.find(f"/api/v1/apps/{desired.client_id}")
        if app is not None:
            return app
        for candidate in api.pages("/api/v1/apps", filter='name eq "oidc_client"'):
            if app_integration.client_id_of(candidate) == desired.client_id:
                return candidate
        problem = f"The org {desired.org_url} has no app integration with the client id {desired.client_id}."
        fix = "Fix BFF_CLIENT_ID or BFF_OKTA_ORG_URL; remove BFF_CLIENT_ID to let `bff okta apply` create an app."
        raise OktaManagementError(problem, fix)
    same = [
        candidate for candidate in api.pages("/api/v1/apps", q=desired.label) if candidate.get("label") == desired.label
    ]
    if len(same) > 1:
        ids = ", ".join(str(candidate.get("id")) for candidate in same)
        problem = f"{len(same)} app integrations have the label {desired.label!r}: {ids}."
        raise OktaManagementError(problem, "Set BFF_CLIENT_ID to the intended one, or set BFF_OKTA_LABEL.")
    return same[0] if same else None


def plan(api: ManagementApi, desired: Desired) -> Plan:
    """Changes nothing. Raises OktaManagementError."""
    view = read_org(api, desired)
    groups = assignments.compare(view.groups, desired)
    rest = trusted_origins.compare(view.origins, desired) + access_policy.compare(
        view.policies, view.client_id, desired
    )
    rest += event_stream.compare(view.stream, desired) + api_tokens.compare(view.tokens, view.client_id, desired)
    if view.app is None:
        return Plan(desired, view, _no_app(desired) + groups + rest)
    findings = (
        app_integration.compare(view.app, desired) + _status(view.app) + groups + rest + _credentials(view, desired)
    )
    return Plan(desired, view, findings)


def _no_app(desired: Desired) -> Findings:
    why = "There is no app integration with this name, and BFF_CLIENT_ID is not set."
    fix = "`bff okta apply` creates it; manually: `bff docs okta` describes each step."
    return Findings((Difference("app", "app", None, desired.label, why, fix),))


def _status(app: Json) -> Findings:
    if app.get("status", "ACTIVE") == "ACTIVE":
        return Findings()
    why = "An inactive app cannot be used for sign-in."
    fix = "`bff okta apply` activates it; manually: Activate on the app's page."
    return Findings((Difference("status", "app_status", app.get("status"), "ACTIVE", why, fix),))


def _credentials(view: OrgView, desired: Desired) -> Findings:
    differences = []
    if desired.client_id is None:
        why = "The BFF needs the client id."
        fix = f"Set BFF_CLIENT_ID to {view.client_id}; `bff okta apply` writes it into its env file."
        differences.append(Difference("credentials", "client_id", None, view.client_id, why, fix))
    active = {secret.value for secret in view.secrets if secret.active}
    if desired.uses_secret and not active & set(desired.client_secrets):
        actual = "another secret" if desired.client_secrets else None
        why = "Every token request would fail with invalid_client."
        fix = "`bff okta apply` writes an active secret into its file; `bff okta rotate-secret` creates a new one."
        differences.append(Difference("credentials", "client_secret", actual, "an active secret of the app", why, fix))
    notes = [
        f"The secret {secret.id} is inactive: `bff okta rotate-secret --retire` deletes it."
        for secret in view.secrets
        if not secret.active
    ]
    return Findings(tuple(differences), tuple(notes))


def apply(api: ManagementApi, planned: Plan, *, target: CredentialsFile | None, log: Callable[[str], None]) -> Applied:
    """Applies everything possible.

    `target` None keeps the secret in the result only, for the terminal. Raises OktaManagementError and
    ConfigurationError; completed steps stay.
    """
    desired, view, findings = planned.desired, planned.view, planned.findings
    created = view.app is None
    if target is not None and (created or findings.of("credentials")):
        target.prepare()
    if view.app is None:
        app = api.post("/api/v1/apps?activate=true", app_integration.new_app(desired))
        log(f"Created the app integration {desired.label!r}.")
    else:
        app = view.app
        if findings.of("app"):
            app = api.put(f"/api/v1/apps/{app['id']}", app_integration.changed(app, desired))
            log(f"Changed {', '.join(difference.name for difference in findings.of('app'))}.")
        if findings.of("status"):
            api.post(f"/api/v1/apps/{app['id']}/lifecycle/activate")
            log("Activated the app.")
    client_id = app_integration.client_id_of(app)
    # Written before later steps can fail, so that the secret is not lost.
    credentials, written = _write_credentials(api, app, planned, created=created, target=target)
    if findings.of("groups"):
        assignments.apply(api, str(app["id"]), view.groups)
        log(f"Assigned {', '.join(str(difference.expected) for difference in findings.of('groups'))}.")
    if findings.of("trusted_origins"):
        trusted_origins.apply(api, view.origins, desired)
        log("Set the Trusted Origins.")
    if findings.of("access_policy"):
        access_policy.apply(api, client_id, view.policies, desired)
        log("Added an access policy for this client.")
    if view.tokens is not None and findings.of("api_tokens"):
        api_tokens.apply(api, view.tokens, client_id, desired)
        changes = ", ".join(difference.name for difference in findings.of("api_tokens"))
        log(f"Set {changes} for the tokens of routes.")
    if view.stream is not None and view.stream.readable:
        event_stream.apply(api, view.stream, desired)
        if findings.of("event_stream"):
            log("Set the stream of security events.")
    changed = tuple(difference.name for difference in findings.differences if difference.by == "apply")
    left = tuple(difference for difference in findings.differences if difference.by == "manual")
    return Applied(
        client_id=client_id,
        created=created,
        changed=changed,
        left=left,
        written=written,
        secret=credentials.client_secret,
    )


def _write_credentials(
    api: ManagementApi, app: Json, planned: Plan, *, created: bool, target: CredentialsFile | None
) -> tuple[ClientCredentials, str | None]:
    """The client's id and a valid secret: the configured one if Okta has it, otherwise the app's newest active one."""
    desired, client_id = planned.desired, app_integration.client_id_of(app)
    credentials = ClientCredentials(client_id)
    if desired.uses_secret:
        active = [secret.value for secret in client_secrets.read(api, app["id"]) if secret.active and secret.value]
        if not active:
            active = [client_secrets.create(api, app["id"]).value]
        at_hand = next((secret for secret in desired.client_secrets if secret in active), None)
        credentials = ClientCredentials(client_id, at_hand or active[-1])
    if target is None or not (created or planned.findings.of("credentials")):
        return credentials, None
    return credentials, str(target.path) if target.write(credentials) else None
