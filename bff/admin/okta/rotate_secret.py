"""Replaces the client secret without a failed sign-in: create, verify at the token endpoint, write; deactivate the old
one later. Both secrets are valid in between, so the BFF can be restarted at any time.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bff.admin.okta import client_secrets
from bff.admin.okta.api_error import OktaManagementError
from bff.admin.okta.app_integration import client_id_of
from bff.admin.okta.client_secrets import MAX_SECRETS, ClientSecret, Verdict, not_verified
from bff.admin.okta.credentials_file import ClientCredentials, CredentialsFile
from bff.admin.okta.desired import Desired
from bff.admin.okta.management_api import ManagementApi


@dataclass(frozen=True, slots=True)
class Rotation:
    """`created` is False if an earlier run created the second secret; `written` is None with `--show-secret`."""

    new: str
    created: bool
    old: tuple[str, ...]
    written: str | None
    secret: str = field(repr=False)

    def lines(self, shown: str | None) -> list[str]:
        action = "Created" if self.created else "Continued with"
        lines = [
            f"{action} the secret {self.new}, and the token endpoint accepts it.",
            f"Written to {self.written} (mode 0600)." if self.written else "",
            f"The new secret: {shown}" if shown else "",
            "Deploy it: a secret file is reloaded automatically or on SIGHUP, an env file on restart. Sessions "
            "continue, and the old secret stays valid.",
            f"Then `bff okta rotate-secret --retire` deactivates {', '.join(self.old)}." if self.old else "",
        ]
        return [line for line in lines if line]

    def as_json(self, shown: str | None) -> dict[str, Any]:
        content = {
            "new": self.new,
            "created": self.created,
            "verified": True,
            "old": list(self.old),
            "written": self.written,
        }
        return {**content, "client_secret": shown} if shown else content


@dataclass(frozen=True, slots=True)
class Retired:
    kept: str
    deactivated: tuple[str, ...]
    deleted: tuple[str, ...]

    def lines(self) -> list[str]:
        lines = [f"The secret {self.kept} stays active, and the token endpoint accepts it."]
        if self.deactivated:
            lines.append(
                f"Deactivated {', '.join(self.deactivated)}. If something still uses it, reactivate it in the Okta "
                f"console; running `bff okta rotate-secret --retire` again deletes it."
            )
        if self.deleted:
            lines.append(f"Deleted {', '.join(self.deleted)}.")
        return lines if len(lines) > 1 else [*lines, "There was no old secret to deactivate."]

    def as_json(self) -> dict[str, Any]:
        return {"kept": self.kept, "deactivated": list(self.deactivated), "deleted": list(self.deleted)}


def rotate(
    api: ManagementApi, app: dict[str, Any], *, target: CredentialsFile | None, check: Callable[[str], Verdict]
) -> Rotation:
    """Writes nothing before the new secret is verified.

    Raises OktaManagementError and ConfigurationError. An interrupted run is continued: of two active secrets the newer
    one is the new one.
    """
    if target is not None:
        target.prepare()
    secrets = client_secrets.read(api, app["id"])
    active = [secret for secret in secrets if secret.active]
    created = len(active) < MAX_SECRETS
    if created:
        # Okta allows two secrets, so an inactive one is deleted first
        for secret in secrets if len(secrets) >= MAX_SECRETS else ():
            if not secret.active:
                client_secrets.delete(api, app["id"], secret)
        active.append(client_secrets.create(api, app["id"]))
    new = active[-1]
    if (verdict := check(new.value)) != "accepted":
        raise not_verified(verdict)
    if target is not None:
        target.write(ClientCredentials(client_id_of(app), new.value))
    old = tuple(secret.id for secret in active[:-1])
    written = None if target is None else str(target.path)
    return Rotation(new=new.id, created=created, old=old, written=written, secret=new.value)


def retire_old(
    api: ManagementApi, app: dict[str, Any], desired: Desired, *, check: Callable[[str], Verdict]
) -> Retired:
    """Deactivates every active secret but the newest; deletes those that were already inactive.

    Raises OktaManagementError if the settings do not hold the newest one: processes with the old one would be rejected.
    """
    secrets = client_secrets.read(api, app["id"])
    active = [secret for secret in secrets if secret.active]
    if not active:
        raise OktaManagementError("The app has no active secret.", "Run `bff okta rotate-secret`.")
    new = active[-1]
    if new.value not in desired.client_secrets:
        problem = (
            f"The settings do not hold the newest secret ({new.id}): processes with an older one would be rejected."
        )
        fix = "Deploy the new secret first; then run this command with the settings of the BFF."
        raise OktaManagementError(problem, fix)
    if (verdict := check(new.value)) != "accepted":
        raise not_verified(verdict)
    for secret in active[:-1]:
        client_secrets.retire(api, app["id"], secret)
    inactive = [secret for secret in secrets if not secret.active]
    for secret in inactive:
        client_secrets.delete(api, app["id"], secret)
    return Retired(kept=new.id, deactivated=_ids(active[:-1]), deleted=_ids(inactive))


def _ids(secrets: list[ClientSecret]) -> tuple[str, ...]:
    return tuple(secret.id for secret in secrets)
