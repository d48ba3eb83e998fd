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
    return tuple(api.pages("/api/v1/trustedOrigins")) if desired.trusted_origins else ()


def compare(there: tuple[Json, ...], desired: Desired) -> Findings:
    differences = []
    for origin in desired.trusted_origins:
        held = _held(there, origin)
        missing = [scope for scope in SCOPES if scope not in _scopes(held)]
        active = held is not None and held.get("status", "ACTIVE") == "ACTIVE"
        if missing or not active:
            actual = None if held is None else {"scopes": _scopes(held), "status": held.get("status")}
            expected = {"origin": origin, "scopes": [*_scopes(held), *missing], "status": "ACTIVE"}
            why = "BFF_OKTA_TRUSTED_ORIGINS lists it."
            fix = "`bff okta apply` sets it; manually: Security > API > Trusted Origins."
            differences.append(Difference("trusted_origins", "trusted_origin", actual, expected, why, fix))
    return Findings(tuple(differences))


def apply(api: ManagementApi, there: tuple[Json, ...], desired: Desired) -> None:
    for origin in desired.trusted_origins:
        held = _held(there, origin)
        if held is None:
            scopes = [{"type": scope} for scope in SCOPES]
            api.post("/api/v1/trustedOrigins", {"name": f"BFF {origin}", "origin": origin, "scopes": scopes})
            continue
        path = f"/api/v1/trustedOrigins/{held['id']}"
        if missing := [scope for scope in SCOPES if scope not in _scopes(held)]:
            api.put(path, {**held, "scopes": [*held.get("scopes", []), *({"type": scope} for scope in missing)]})
        if held.get("status", "ACTIVE") != "ACTIVE":
            api.post(f"{path}/lifecycle/activate")


def _held(there: tuple[Json, ...], origin: str) -> Json | None:
    return next((origin_document for origin_document in there if origin_document.get("origin") == origin), None)


def _scopes(held: Json | None) -> list[str]:
    return [str(scope.get("type")) for scope in (held or {}).get("scopes", [])]
