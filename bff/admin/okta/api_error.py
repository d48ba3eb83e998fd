"""Errors of Okta's Management API, as a problem and a fix.

Only `errorCode` and the status are evaluated, because Okta changes its texts. The causes of a failed validation are
quoted, shortened and escaped: they name the property.
"""

from collections.abc import Mapping
from typing import Any

from bff.telemetry.redaction import escape, redact

MAX_CAUSE = 300  # characters


class OktaManagementError(Exception):
    """`okta_status` is the status of Okta's response, if there was one, and `okta_code` its errorCode, or empty.
    `problem` and `fix` are safe to show.
    """

    def __init__(self, problem: str, fix: str, *, okta_status: int | None = None, okta_code: str = "") -> None:
        super().__init__(f"{problem} {fix}")
        self.problem, self.fix = problem, fix
        self.okta_status, self.okta_code = okta_status, okta_code

    def as_json(self) -> dict[str, Any]:
        return {
            "code": "okta_management_error",
            "okta_code": self.okta_code,
            "status": self.okta_status,
            "problem": self.problem,
            "fix": self.fix,
        }


def refusal(what: str, status: int, headers: Mapping[str, str], body: Any, *, service_app: bool) -> OktaManagementError:
    """`what` is the request's method and path, without the query. `body` is the parsed JSON, or None."""
    fields = body if isinstance(body, dict) else {}
    code = str(fields.get("errorCode", ""))[:20]
    problem, fix = _words(status, code, fields, headers, service_app)
    shown = f"{status} {escape(code)}".strip()
    problem = f"{problem.removesuffix('.')} ({what} answered {shown})."
    return OktaManagementError(problem, fix, okta_status=status, okta_code=code)


def _words(
    status: int, code: str, fields: Mapping[str, Any], headers: Mapping[str, str], service_app: bool
) -> tuple[str, str]:
    match code:
        case "E0000001":
            return (
                f"Okta rejects the values: {_causes(fields)}.",
                "Change the setting that the message names, then run this command again.",
            )
        case "E0000003":
            return "Okta cannot parse the request.", "This is a bug: please report it with this line."
        case "E0000004" | "E0000005" | "E0000011":
            return "Okta rejects the credentials.", _new_credentials(service_app)
        case "E0000006":
            return "The credentials lack permission for this request.", _more_rights(service_app)
        case "E0000007":
            return "Okta has no such object.", "Compare client id, issuer and BFF_OKTA_ORG_URL: is it the right org?"
        case "E0000009":
            return "Okta had an internal error.", "Run the command again; completed steps are not repeated."
        case "E0000010":
            return (
                "The org is read-only: Okta is in maintenance.",
                "Run the command again later (status.okta.com).",
            )
        case "E0000015":
            fix = (
                "Custom authorization servers need the API Access Management licence: buy it, or set BFF_ISSUER "
                "to the org's own address, without /oauth2/..., which suffices for sign-in."
            )
            return "The org has no licence for this feature.", fix
        case "E0000022":
            return "Okta does not support this operation here.", "Is BFF_OKTA_ORG_URL the address of an Okta org?"
        case "E0000038":
            return "Okta does not allow this in the current state.", "Look at the app's status in the Admin Console."
        case "E0000047":
            return "Okta's rate limit was exceeded, even after waiting.", "Run the command again in a minute."
        case _:
            return _unnamed(status, headers, service_app)


def _unnamed(status: int, headers: Mapping[str, str], service_app: bool) -> tuple[str, str]:
    if "insufficient_scope" in headers.get("www-authenticate", ""):
        return "The service app lacks a scope.", _more_rights(service_app=True)
    match status:
        case 401:
            return "Okta rejects the credentials.", _new_credentials(service_app)
        case 403:
            return "The credentials lack permission for this request.", _more_rights(service_app)
        case 429:
            return "Okta's rate limit was exceeded, even after waiting.", "Run the command again in a minute."
        case _ if status >= 500:
            return "Okta had an internal error.", "Run the command again; completed steps are not repeated."
        case _:
            fix = "Set BFF_OKTA_ORG_URL to the org's address, like https://example.okta.com, without -admin."
            return "The response is not from Okta's Management API.", fix


def _new_credentials(service_app: bool) -> str:
    if service_app:
        return "Compare BFF_OKTA_SERVICE_CLIENT_ID and the public key registered with that app."
    return (
        "An API token expires after 30 days without use, and with the administrator who created it: create one "
        "under Security > API > Tokens and store it in the file of BFF_OKTA_API_TOKEN_FILE."
    )


def _more_rights(service_app: bool) -> str:
    if service_app:
        return (
            "Grant the service app the scopes that `bff docs okta` lists (Okta API Scopes), and assign it an admin "
            "role that may manage applications (Admin roles)."
        )
    return (
        "The token has the permissions of the administrator who created it: use one of an application "
        "administrator, or of a super administrator for access policies."
    )


def _causes(fields: Mapping[str, Any]) -> str:
    causes = fields.get("errorCauses")
    summaries = [
        str(cause.get("errorSummary", ""))
        for cause in (causes if isinstance(causes, list) else [])
        if isinstance(cause, dict)
    ]
    text = "; ".join(summaries) or str(fields.get("errorSummary", "no cause given"))
    return escape(redact(text[:MAX_CAUSE].rstrip(".")))
