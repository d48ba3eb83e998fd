"""What Okta's Management API refuses, told in plain words with the fix. Only `errorCode` and the status are judged:
Okta changes its texts. The causes of a failed validation are quoted, shortened and escaped: they name the property."""

from collections.abc import Mapping
from typing import Any, ClassVar

from bff.errors import BffError
from bff.telemetry.redaction import escape, redact

MAX_CAUSE = 300  # characters


class OktaManagementError(BffError):
    """`okta_code` is Okta's errorCode, or empty. `problem` and `fix` are safe to show."""

    code: ClassVar[str] = "okta_management_error"
    status: ClassVar[int] = 502
    title: ClassVar[str] = "Okta's Management API did not do what was asked"

    def __init__(self, problem: str, fix: str, *, okta_status: int | None = None, okta_code: str = "") -> None:
        super().__init__(f"{problem} {fix}")
        self.problem, self.fix = problem, fix
        self.okta_status, self.okta_code = okta_status, okta_code

    def as_json(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "okta_code": self.okta_code,
            "status": self.okta_status,
            "problem": self.problem,
            "fix": self.fix,
        }


def refusal(what: str, status: int, headers: Mapping[str, str], body: Any, *, service_app: bool) -> OktaManagementError:
    """`what` names the request: method and path, no query. `body` is what was read as JSON, or None."""
    fields = body if isinstance(body, dict) else {}
    code = str(fields.get("errorCode", ""))[:20]
    problem, fix = _words(status, code, fields, headers, service_app)
    shown = f"{status} {escape(code)}".strip()
    return OktaManagementError(f"{problem} ({what} answered {shown})", fix, okta_status=status, okta_code=code)


def _words(
    status: int, code: str, fields: Mapping[str, Any], headers: Mapping[str, str], service_app: bool
) -> tuple[str, str]:
    match code:
        case "E0000001":
            return (
                f"Okta refuses the values: {_causes(fields)}.",
                "Change the setting that this names; run again.",
            )
        case "E0000003":
            return "Okta cannot read what was sent.", "This is a defect of ours: please report it with this line."
        case "E0000004" | "E0000005" | "E0000011":
            return "Okta does not accept the credentials.", _new_credentials(service_app)
        case "E0000006":
            return "These credentials are not allowed to do this.", _more_rights(service_app)
        case "E0000007":
            return "Okta knows no such thing.", "Compare client id, issuer and BFF_OKTA_ORG_URL: is it the right org?"
        case "E0000009":
            return "Okta met an error of its own.", "Run the command again; what is done already is not done twice."
        case "E0000010":
            return (
                "The org is read-only: Okta is in maintenance.",
                "Run the command again later (status.okta.com).",
            )
        case "E0000015":
            fix = (
                "Custom authorization servers need the API Access Management licence: ask for it, or set BFF_ISSUER to "
                "the org's own address, without /oauth2/..., which is enough for signing in."
            )
            return "The org has no licence for this feature.", fix
        case "E0000022":
            return "Okta has no such operation here.", "Is BFF_OKTA_ORG_URL the address of an Okta org?"
        case "E0000038":
            return "Okta does not allow this in the present state.", "Look at the app's status in the Admin Console."
        case "E0000047":
            return "Okta's rate limit holds, even after waiting.", "Run the command again in a minute."
        case _:
            return _unnamed(status, headers, service_app)


def _unnamed(status: int, headers: Mapping[str, str], service_app: bool) -> tuple[str, str]:
    if "insufficient_scope" in headers.get("www-authenticate", ""):
        return "The service app lacks a scope.", _more_rights(service_app=True)
    match status:
        case 401:
            return "Okta does not accept the credentials.", _new_credentials(service_app)
        case 403:
            return "These credentials are not allowed to do this.", _more_rights(service_app)
        case 429:
            return "Okta's rate limit holds, even after waiting.", "Run the command again in a minute."
        case _ if status >= 500:
            return "Okta met an error of its own.", "Run the command again; what is done already is not done twice."
        case _:
            fix = "Set BFF_OKTA_ORG_URL to the org's address, like https://example.okta.com, without -admin."
            return "This is not how Okta's Management API answers.", fix


def _new_credentials(service_app: bool) -> str:
    if service_app:
        return "Compare BFF_OKTA_SERVICE_CLIENT_ID and the public key registered with that app."
    return (
        "An API token ends after 30 days without use, and with the administrator who made it: make a new one under "
        "Security > API > Tokens and put it into the file of BFF_OKTA_API_TOKEN_FILE."
    )


def _more_rights(service_app: bool) -> str:
    if service_app:
        return (
            "Grant the service app the scopes that docs/okta.md lists (Okta API Scopes), and assign it an admin role "
            "that may manage applications (Admin roles)."
        )
    return (
        "The token has the rights of the administrator who made it: use one of an application administrator, or of a "
        "super administrator for access policies."
    )


def _causes(fields: Mapping[str, Any]) -> str:
    causes = fields.get("errorCauses")
    summaries = [
        str(cause.get("errorSummary", ""))
        for cause in (causes if isinstance(causes, list) else [])
        if isinstance(cause, dict)
    ]
    text = "; ".join(summaries) or str(fields.get("errorSummary", "no cause was given"))
    return escape(redact(text[:MAX_CAUSE].rstrip(".")))
