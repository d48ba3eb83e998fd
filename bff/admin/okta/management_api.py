"""The client of Okta's Management API: JSON, pagination, rate limits, and errors as problem and fix.

Does not own what an app should look like: `bff.admin.okta.app_integration` and its siblings do.
"""

import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlencode, urlsplit

import httpx

from bff import __version__
from bff.admin.okta.api_error import OktaManagementError, refusal
from bff.provider.failure import reason_of

TIMEOUT: Final = 30.0  # seconds for one request
RETRIES: Final = 2  # attempts after a rate limit
MAX_WAIT: Final = 120.0  # seconds; Okta's rate-limit windows are a minute
MAX_PAGES: Final = 200
# Okta's largest page size, in okta.md and its OpenAPI description.
PAGE: Final = 200
_NEXT: Final = re.compile(r'<([^>]*)>\s*;[^,]*\brel="next"')

Json = dict[str, Any]


class Credentials(Protocol):
    """Authenticates requests: an API token, or a service app with an access token."""

    @property
    def is_service_app(self) -> bool: ...

    def authorization(self, http: httpx.Client, org_url: str) -> str:
        """The value of the Authorization header. Raises OktaManagementError."""
        ...


class ApiToken:
    """An SSWS token, with the permissions of the administrator who created it."""

    is_service_app = False

    def __init__(self, token: str) -> None:
        self._token = token

    def authorization(self, http: httpx.Client, org_url: str) -> str:
        return f"SSWS {self._token}"


def http_client(*, proxy: str | None = None, ca_file: Path | None = None) -> httpx.Client:
    """Configured like the running BFF's provider client: no environment variables, no redirects."""
    return httpx.Client(
        trust_env=False,
        follow_redirects=False,
        proxy=proxy,
        verify=True if ca_file is None else ssl.create_default_context(cafile=str(ca_file)),
        timeout=TIMEOUT,
        headers={"user-agent": f"okta-bff/{__version__}", "accept": "application/json"},
    )


class ManagementApi:
    """`sleep` (seconds) and `log` (text) are called for each wait for a rate limit."""

    def __init__(
        self,
        org_url: str,
        credentials: Credentials,
        http: httpx.Client,
        *,
        sleep: Callable[[float], None] = time.sleep,
        log: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.org_url = org_url
        self._credentials, self._http = credentials, http
        self._sleep, self._log = sleep, log

    @property
    def as_service_app(self) -> bool:
        """Whether requests carry an access token of a client, and not an administrator's API token."""
        return self._credentials.is_service_app

    def get(self, path: str) -> Json:
        """Raises OktaManagementError, as all methods do."""
        return _object(self._request("GET", path))

    def find(self, path: str) -> Json | None:
        """The object, or None if it does not exist."""
        try:
            return self.get(path)
        except OktaManagementError as error:
            if error.okta_status == 404:
                return None
            raise

    def pages(self, path: str, *, limit: int | None = PAGE, **query: str) -> Iterator[Json]:
        """All members of a list, across pages.

        Only path and query of a `Link` are used, never its host, so the credentials go nowhere else. `limit` None is
        for lists without pagination.
        """
        if limit is not None:
            query["limit"] = str(limit)
        answer = self._request("GET", f"{path}?{urlencode(query)}" if query else path)
        for _ in range(MAX_PAGES):
            for member in _list(answer):
                yield _object(member)
            next_link = next(filter(None, map(_NEXT.search, answer.headers.get_list("link"))), None)
            if next_link is None:
                return
            target = urlsplit(next_link[1])
            answer = self._request("GET", f"{target.path}?{target.query}")
        raise OktaManagementError("Okta's pagination does not end.", "Please report this.")

    def post(self, path: str, body: Json | None = None) -> Json:
        answer = self._request("POST", path, body)
        return _object(answer) if answer.content else {}

    def post_for_list(self, path: str, body: Json) -> list[Json]:
        """The members of the list that is the response."""
        return [_object(member) for member in _list(self._request("POST", path, body))]

    def put(self, path: str, body: Json | None = None) -> Json:
        return _object(self._request("PUT", path, body))

    def delete(self, path: str) -> None:
        self._request("DELETE", path)

    def _request(self, method: str, path: str, body: Json | None = None) -> httpx.Response:
        what = f"{method} {path.partition('?')[0]}"
        headers = {"authorization": self._credentials.authorization(self._http, self.org_url)}
        answer = self._send(method, path, body, headers)
        for retry in range(1, RETRIES + 1):
            if answer.status_code != 429 or (wait := rate_limit_wait(answer.headers, time.time())) > MAX_WAIT:
                break
            self._log(f"Okta's rate limit: waiting {wait:.0f} s.")
            self._sleep(wait)
            # Nothing was executed, so a retry is safe; as Okta's SDKs do, the headers name the retried request.
            headers |= {
                "x-okta-retry-count": str(retry),
                "x-okta-retry-for": answer.headers.get("x-okta-request-id", ""),
            }
            answer = self._send(method, path, body, headers)
        if answer.is_success:
            return answer
        service_app = self._credentials.is_service_app
        raise refusal(what, answer.status_code, answer.headers, _json(answer), service_app=service_app)

    def _send(self, method: str, path: str, body: Json | None, headers: Mapping[str, str]) -> httpx.Response:
        try:
            if body is None:
                # Okta answers 411 to a POST or PUT without body and Content-Length.
                content = b"" if method in ("POST", "PUT") else None
                return self._http.request(method, self.org_url + path, headers=headers, content=content)
            return self._http.request(method, self.org_url + path, headers=headers, json=body)
        except (httpx.HTTPError, ssl.SSLError) as error:
            raise unreachable(self.org_url, error) from None


def unreachable(org_url: str, error: Exception) -> OktaManagementError:
    fix = "Check the address, BFF_PROVIDER_PROXY and BFF_PROVIDER_CA_FILE. Completed steps are not repeated."
    return OktaManagementError(f"{org_url} cannot be reached ({reason_of(error)}).", fix)


def rate_limit_wait(headers: Mapping[str, str], now: float) -> float:
    """Seconds until the window ends, measured by Okta's own clock (`Date`), so that clock skew has no effect.

    Okta's guides recommend this over exponential back-off; one second is added for rounding.
    """
    try:
        reset = float(headers["x-rate-limit-reset"])
    except (KeyError, ValueError):
        return 5.0
    with suppress(KeyError, ValueError):
        now = parsedate_to_datetime(headers["date"]).timestamp()
    return max(0.0, reset - now) + 1.0


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


def _list(answer: httpx.Response) -> list[Any]:
    document = _json(answer)
    if not isinstance(document, list):
        raise _not_okta(answer)
    return document


def _object(answer: Any) -> Json:
    document = _json(answer) if isinstance(answer, httpx.Response) else answer
    if not isinstance(document, dict):
        raise _not_okta(answer)
    return document


def _not_okta(answer: Any) -> OktaManagementError:
    status = answer.status_code if isinstance(answer, httpx.Response) else None
    fix = "Set BFF_OKTA_ORG_URL to the org's address, like https://example.okta.com; a proxy may also have answered."
    return OktaManagementError("The response is not from Okta's Management API.", fix, okta_status=status)
