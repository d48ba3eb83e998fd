"""The client credentials of a service app (RFC 6749 section 4.4): a token of the org server, by private_key_jwt."""

import secrets
import time
from collections.abc import Callable

import httpx

from bff.admin.okta.api_error import OktaManagementError
from bff.admin.okta.management_api import unreachable
from bff.oidc.client_auth import ClientAuthentication
from bff.telemetry.redaction import escape

TOKEN_PATH = "/oauth2/v1/token"  # only the org authorization server issues tokens for the Management API
RENEW_BEFORE_EXPIRY = 60  # seconds


class ServiceApp:
    """`scopes` are requested together with `optional` ones, which are dropped if Okta rejects them. `clock` is in
    seconds since the epoch.
    """

    is_service_app = True

    def __init__(
        self,
        authentication: ClientAuthentication,
        *,
        scopes: tuple[str, ...],
        optional: tuple[str, ...] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._authentication = authentication
        self._scopes, self._optional, self._clock = scopes, optional, clock
        self._token, self._until = "", 0.0

    def authorization(self, http: httpx.Client, org_url: str) -> str:
        if self._clock() >= self._until - RENEW_BEFORE_EXPIRY:
            self._token, lifetime = self._fetch(http, org_url)
            self._until = self._clock() + lifetime
        return f"Bearer {self._token}"

    def _fetch(self, http: httpx.Client, org_url: str) -> tuple[str, float]:
        status, answer = self._request(http, org_url, (*self._scopes, *self._optional))
        if answer.get("error") == "invalid_scope" and self._optional:
            status, answer = self._request(http, org_url, self._scopes)
        if status != 200:
            raise self._error(status, str(answer.get("error", "")))
        token = answer.get("access_token")
        if not isinstance(token, str) or str(answer.get("token_type", "")).lower() != "bearer":
            fix = "Set BFF_OKTA_ORG_URL to the org's address; is DPoP required of the service app?"
            raise OktaManagementError("The org's token endpoint returned no bearer token.", fix, okta_status=status)
        lifetime = answer.get("expires_in")
        return token, float(lifetime) if isinstance(lifetime, int) else 300.0

    def _request(self, http: httpx.Client, org_url: str, scopes: tuple[str, ...]) -> tuple[int, dict[str, object]]:
        endpoint = org_url + TOKEN_PATH
        proof = self._authentication.credentials(
            self._authentication.candidates[0], audience=endpoint, now=self._clock(), jti=secrets.token_urlsafe(16)
        )
        form = {"grant_type": "client_credentials", "scope": " ".join(scopes), **proof.form}
        try:
            answer = http.post(endpoint, data=form)
        except httpx.HTTPError as error:
            raise unreachable(org_url, error) from None
        try:
            fields = answer.json()
        except ValueError:
            fields = {}
        return answer.status_code, fields if isinstance(fields, dict) else {}

    def _error(self, status: int, error: str) -> OktaManagementError:
        match error:
            case "invalid_client":
                fix = (
                    "Compare BFF_OKTA_SERVICE_CLIENT_ID with the service app's client ID, the key's public half and "
                    "kid with its Public keys; is this machine's clock right?"
                )
            case "invalid_scope":
                fix = f"Grant the app under Okta API Scopes: {', '.join(self._scopes)}."
            case "invalid_dpop_proof" | "use_dpop_nonce":
                fix = "Switch off 'Require Demonstrating Proof of Possession (DPoP)' in the service app's General tab."
            case "unauthorized_client" | "unsupported_grant_type":
                fix = "The app must be an API Services app integration with the grant type Client Credentials."
            case _:
                fix = "Set BFF_OKTA_ORG_URL to the org's address; run this command again if Okta had an outage."
        shown_error = escape(error[:40]) or f"status {status}"
        problem = f"The org authorization server issues no token to the service app ({shown_error})."
        return OktaManagementError(problem, fix, okta_status=status)
