"""The groups assigned to the app. Okta answers `access_denied` to all other users."""

from dataclasses import dataclass
from typing import Any

from bff.admin.okta.desired import Desired
from bff.admin.okta.difference import Difference, Findings
from bff.admin.okta.management_api import ManagementApi

_WHERE = "Applications > this app > Assignments"


@dataclass(frozen=True, slots=True)
class Assignments:
    """`ids` are those of the configured groups, None for one that does not exist; `assigned` are those of the app.

    `has_users`: whether any user may use the app.
    """

    ids: dict[str, str | None]
    assigned: frozenset[str] = frozenset()
    has_users: bool = False


def read(api: ManagementApi, app: dict[str, Any] | None, desired: Desired) -> Assignments:
    """Raises OktaManagementError."""
    ids = {name: _group_id(api, name) for name in desired.okta.groups}
    if app is None:
        return Assignments(ids)
    path = f"/api/v1/apps/{app['id']}"
    assigned = frozenset(str(member["id"]) for member in api.pages(f"{path}/groups"))
    # Users may be assigned individually, or all of them by the org's broker mode.
    has_users = bool(assigned) or bool(app.get("settings", {}).get("implicitAssignment"))
    return Assignments(ids, assigned, has_users or next(api.pages(f"{path}/users"), None) is not None)


def _group_id(api: ManagementApi, name: str) -> str | None:
    """`q` matches prefixes; only the group with exactly this name counts."""
    for group in api.pages("/api/v1/groups", q=name):
        if group.get("profile", {}).get("name") == name:
            return str(group["id"])
    return None


def compare(present: Assignments, desired: Desired) -> Findings:
    differences = []
    for name, group_id in present.ids.items():
        if group_id is None:
            why = "The org has no group with this name."
            fix = "Create it under Directory > Groups, or fix BFF_OKTA_GROUPS."
            differences.append(Difference("groups", "group_unknown", None, name, why, fix, "manual"))
        elif group_id not in present.assigned:
            why = "Its members get access_denied (user_not_assigned)."
            fix = f"`bff okta apply` assigns it; manually: {_WHERE} > Assign to Groups."
            differences.append(Difference("groups", "group_not_assigned", None, name, why, fix))
    if not desired.okta.groups and not present.has_users:
        why = "No group is assigned to the app: every sign-in gets access_denied (user_not_assigned)."
        fix = f"Name groups in BFF_OKTA_GROUPS (Everyone is one); manually: {_WHERE}."
        differences.append(Difference("groups", "no_assignment", None, "at least one group", why, fix, "manual"))
    return Findings(tuple(differences))


def apply(api: ManagementApi, app_id: str, present: Assignments) -> None:
    for group_id in present.ids.values():
        if group_id is not None and group_id not in present.assigned:
            api.put(f"/api/v1/apps/{app_id}/groups/{group_id}")
