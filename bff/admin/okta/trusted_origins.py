"""Trusted Origins: origins that may call Okta with its session cookie (CORS), or that Okta redirects to (REDIRECT).

A SPA behind the BFF calls only the BFF and needs none, so one is created only if the settings name it.
"""

from typing import Any, Final, TypeAlias

from bff.admin.okta.desired import Desired
from bff.admin.okta.difference import Difference, Findings
from bff.admin.okta.management_api import ManagementApi

Json: TypeAlias = dict[str, Any]
SCOPES: Final = ("CORS", "REDIRECT")


def read(api: ManagementApi, desired: Desired) -> tuple[Json, ...]:
    """Sends no request if no origin is configured: the credentials may lack the scope. May raise."""
    return tuple(api.pages("/api/v1/trustedOrigins")) if desired.okta.trusted_origins else ()


def compare(existing: tuple[Json, ...], desired: Desired) -> Findings:
    differences = []
    for origin in desired.okta.trusted_origins:
        present = _of(existing, origin)
        missing = [scope for scope in SCOPES if scope not in _scopes(present)]
        active = present is not None and present.get("status", "ACTIVE") == "ACTIVE"
        if missing or not active:
            actual = None if present is None else {"scopes": _scopes(present), "status": present.get("status")}
            expected = {"origin": origin, "scopes": [*_scopes(present), *missing], "status": "ACTIVE"}
            why = "BFF_OKTA_TRUSTED_ORIGINS lists it."
            fix = "`bff okta apply` sets it; manually: Security > API > Trusted Origins."
            differences.append(Difference("trusted_origins", "trusted_origin", actual, expected, why, fix))
    return Findings(tuple(differences))


def apply(api: ManagementApi, existing: tuple[Json, ...], desired: Desired) -> None:
    for origin in desired.okta.trusted_origins:
        present = _of(existing, origin)
        if present is None:
            scopes = [{"type": scope} for scope in SCOPES]
            api.post("/api/v1/trustedOrigins", {"name": f"BFF {origin}", "origin": origin, "scopes": scopes})
            continue
        path = f"/api/v1/trustedOrigins/{present['id']}"
        if missing := [scope for scope in SCOPES if scope not in _scopes(present)]:
            api.put(path, {**present, "scopes": [*present.get("scopes", []), *({"type": scope} for scope in missing)]})
        if present.get("status", "ACTIVE") != "ACTIVE":
            api.post(f"{path}/lifecycle/activate")


def _of(existing: tuple[Json, ...], origin: str) -> Json | None:
    return next((candidate for candidate in existing if candidate.get("origin") == origin), None)


def _scopes(present: Json | None) -> list[str]:
    return [str(scope.get("type")) for scope in (present or {}).get("scopes", [])]
