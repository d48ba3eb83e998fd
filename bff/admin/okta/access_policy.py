"""The custom authorization server: its issuer, and an access policy for this client.

A new org's `default` server has no policy, so every sign-in fails with `no_matching_policy`. The org authorization
server has fixed policies that cannot be changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from bff.admin.okta.api_error import OktaManagementError
from bff.admin.okta.desired import Desired
from bff.admin.okta.difference import Difference, Findings
from bff.admin.okta.management_api import ManagementApi

Json: TypeAlias = dict[str, Any]
WHERE = "Security > API > Authorization Servers"


@dataclass(frozen=True, slots=True)
class Policies:
    """`server` None with an empty `unreadable`: there is no such server. `unreadable` says why none could be read."""

    server: Json | None = None
    policies: tuple[tuple[Json, tuple[Json, ...]], ...] = ()
    unreadable: str = ""


def read(api: ManagementApi, desired: Desired) -> Policies | None:
    """None for the org authorization server.

    Missing read permission is not an error: the plan reports it. May raise.
    """
    server_id = desired.authorization_server_id
    return None if server_id is None else read_server(api, server_id)


def read_server(api: ManagementApi, server_id: str) -> Policies:
    """A custom server and its policies. May raise."""
    path = f"/api/v1/authorizationServers/{server_id}"
    try:
        server = api.find(path)
        if server is None:
            return Policies()
        policies = [
            (policy, tuple(api.pages(f"{path}/policies/{policy['id']}/rules", limit=None)))
            for policy in api.pages(f"{path}/policies", limit=None)
        ]
    except OktaManagementError as error:
        if error.okta_status == 403 or error.okta_code == "E0000015":
            return Policies(unreadable=f"{error.problem} {error.fix}")
        raise
    return Policies(server, tuple(policies))


def compare(present: Policies | None, client_id: str | None, desired: Desired) -> Findings:
    if present is None:
        return Findings()
    if present.unreadable:
        return Findings(notes=(f"The access policy could not be read: {present.unreadable}",))
    if present.server is None:
        why = f"The org has no authorization server {desired.authorization_server_id}."
        fix = f"Set BFF_ISSUER to the issuer of a server at {WHERE}, or use the org's own address."
        return Findings(
            (Difference("server", "authorization_server", None, desired.authorization_server_id, why, fix, "manual"),)
        )
    return Findings((*_of_server(present.server, desired), *_of_policies(present, client_id, desired)))


def _of_server(server: Json, desired: Desired) -> list[Difference]:
    differences = []
    if server.get("status", "ACTIVE") != "ACTIVE":
        why, fix = "An inactive authorization server issues no tokens.", f"{WHERE} > this server > Active."
        differences.append(Difference("server", "server_status", server.get("status"), "ACTIVE", why, fix, "manual"))
    # A dynamic issuer follows the requested host; any other is the fixed one in its tokens.
    if server.get("issuerMode") != "DYNAMIC" and server.get("issuer") not in (None, desired.settings.provider.issuer):
        why = "Tokens carry the server's issuer, and any other than BFF_ISSUER is rejected."
        fix = f"Set BFF_ISSUER to {server['issuer']}, or change it: {WHERE} > this server > Settings."
        differences.append(
            Difference("server", "issuer", server["issuer"], desired.settings.provider.issuer, why, fix, "manual")
        )
    return differences


def _of_policies(present: Policies, client_id: str | None, desired: Desired) -> list[Difference]:
    if allows(present, client_id, "authorization_code", desired.settings.provider.scopes):
        return []
    why = "No access policy and rule allow this client: Okta answers no_matching_policy."
    manually = f"{WHERE} > this server > Access Policies > Add Policy, then Add Rule with Authorization Code"
    expected = "a policy for this client with a rule for authorization_code"
    names = [str(policy.get("name")) for policy, _ in present.policies] or None
    if desired.okta.access_policy:
        fix = f"`bff okta apply` adds one for this client alone; manually: {manually}."
        return [Difference("access_policy", "access_policy", names, expected, why, fix)]
    return [Difference("access_policy", "access_policy", names, expected, why, f"{manually}.", "manual")]


def allows(present: Policies, client_id: str | None, grant: str, wanted: Sequence[str]) -> bool:
    """Whether an active policy for this client has an active rule for the grant type and the scopes."""
    return any(
        _active(rule)
        and grant in _included(rule, "grantTypes")
        and ("*" in _included(rule, "scopes") or set(wanted) <= _included(rule, "scopes"))
        for policy, rules in present.policies
        if _active(policy) and {"ALL_CLIENTS", client_id} & _included(policy, "clients")
        for rule in rules
    )


def _included(conditional: Json, name: str) -> set[str]:
    return set((conditional.get("conditions") or {}).get(name, {}).get("include") or ())


def apply(api: ManagementApi, client_id: str, present: Policies | None, desired: Desired) -> None:
    """A policy for this client alone, and a rule that allows every assigned user. May raise."""
    existing, server_id = present.policies if present else (), str(desired.authorization_server_id)
    _add(api, server_id, existing, client_id, "Sign-in through the BFF", "authorization_code", ["*"])


def add(api: ManagementApi, server_id: str, client_id: str, grant: str, scopes: Sequence[str]) -> None:
    """A rule for tokens of routes, in a policy for this client alone. Without `scopes` all are allowed. May raise."""
    existing = read_server(api, server_id).policies  # again: an earlier step may have added the policy
    _add(api, server_id, existing, client_id, "Tokens for routes of the BFF", grant, list(scopes) or ["*"])


def _add(
    api: ManagementApi,
    server_id: str,
    existing: Sequence[tuple[Json, tuple[Json, ...]]],
    client_id: str,
    name: str,
    grant: str,
    scopes: list[str],
) -> None:
    path = f"/api/v1/authorizationServers/{server_id}/policies"
    # A policy without its rule: an earlier run was interrupted, or the rule was removed.
    created = next(
        (
            candidate
            for candidate in existing
            if _included(candidate[0], "clients") == {client_id} and _active(candidate[0])
        ),
        None,
    )
    policy, rules = created or (None, ())
    policy = policy or api.post(
        path,
        {
            "type": "OAUTH_AUTHORIZATION_POLICY",
            "name": _free(f"BFF {client_id}", [candidate for candidate, _ in existing]),
            "description": "Created by `bff okta apply`.",
            "status": "ACTIVE",
            "priority": 1,
            "conditions": {"clients": {"include": [client_id]}},
        },
    )
    api.post(
        f"{path}/{policy['id']}/rules",
        {
            "type": "RESOURCE_ACCESS",
            "name": _free(name, rules),
            "priority": 1,
            "conditions": {
                "grantTypes": {"include": [grant]},
                "people": {"groups": {"include": ["EVERYONE"]}},
                "scopes": {"include": scopes},
            },
            # Okta's own defaults: one hour, no absolute lifetime, seven days without use.
            "actions": {
                "token": {
                    "accessTokenLifetimeMinutes": 60,
                    "refreshTokenLifetimeMinutes": 0,
                    "refreshTokenWindowMinutes": 10080,
                }
            },
        },
    )


def _active(resource: Json) -> bool:
    return resource.get("status") == "ACTIVE"


def _free(name: str, taken: Sequence[Json]) -> str:
    """Okta rejects a second policy or rule with the same name."""
    names = {candidate.get("name") for candidate in taken}
    return next(candidate for candidate in (name, *(f"{name} ({n})" for n in range(2, 1000))) if candidate not in names)
