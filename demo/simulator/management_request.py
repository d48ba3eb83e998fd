"""Common processing of Management API calls: authentication, authorization, rate limits, pagination."""

import base64
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from demo.simulator import management_errors as errors
from demo.simulator.management_errors import ApiRefused
from demo.simulator.org import Org

Json = dict[str, Any]
Handler: TypeAlias = Callable[[Org, Request], Awaitable[Response]]
SMALLEST_PAGE = 1


def guarded(org: Org, handler: Handler, what: str) -> Callable[[Request], Awaitable[Response]]:
    """`what` is the scope family: okta.<what>.read for GET, okta.<what>.manage otherwise.

    `ssf` has its own scopes, ssf.read and ssf.manage, and takes no API token: a stream belongs to a client.
    """

    async def answer(request: Request) -> Response:
        state = org.management
        allowed, headers = state.take(request.url.path.split("/")[3], org.now())
        try:
            if not allowed:
                raise errors.too_many(headers)
            _authorize(org, request, what)
            await _remember(org, request)
            if request.method != "GET" and state.read_only:
                raise errors.read_only()
            if what == "authorizationServers" and not state.licensed:
                raise errors.not_licensed()
            response = await handler(org, request)
        except ApiRefused as refused:
            org.record("management_refused", f"{request.method} {request.url.path}: {refused.code}", code=refused.code)
            response = refused.response()
        response.headers.update(headers)
        response.headers["X-Okta-Request-Id"] = secrets.token_urlsafe(12)
        return response

    return answer


def _authorize(org: Org, request: Request, what: str) -> None:
    """Raises ApiRefused."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    state = org.management
    if scheme == "SSWS" and what == "ssf":
        raise errors.forbidden("ssf.manage")
    if scheme == "SSWS":
        held = state.api_token
        if held is None or state.token_expired or not hmac.compare_digest(held.encode(), value.encode()):
            raise errors.bad_token()
        return
    claims = org.keys.private.verified(value) if scheme == "Bearer" else None
    if claims is None or claims.get("exp", 0) <= org.now() or claims.get("aud") != org.base_url:
        raise errors.bad_token()
    action = "read" if request.method == "GET" else "manage"
    family = what if what == "ssf" else f"okta.{what}"
    if not {f"{family}.{action}", f"{family}.manage"} & set(claims["scp"]):
        raise errors.forbidden(f"{family}.{action}")
    client = org.clients.get(claims["cid"])
    if client is None or not (client.has_admin_role or what == "ssf"):
        raise errors.forbidden()


def client_of(org: Org, request: Request) -> str:
    """The client of the access token of a request that `guarded` has let in."""
    claims = org.keys.private.verified(request.headers["authorization"].partition(" ")[2]) or {}
    return str(claims.get("cid"))


async def _remember(org: Org, request: Request) -> None:
    """Every received request, for comparison with Okta's OpenAPI description."""
    raw = await request.body()
    try:
        body = json.loads(raw) if raw else None
    except ValueError:
        raise errors.unreadable() from None
    if raw and not request.headers.get("content-type", "").startswith("application/json"):
        raise ApiRefused(415, "E0000003", "The request body was not well-formed.")
    if not raw and request.method in ("POST", "PUT") and "content-length" not in request.headers:
        raise ApiRefused(411, "E0000003", "A Content-Length is required.")
    query = f"?{request.url.query}" if request.url.query else ""
    org.management.requests.append((request.method, f"{request.url.path}{query}", body))


async def body_of(request: Request) -> Json:
    """Raises ApiRefused."""
    raw = await request.body()
    document = json.loads(raw) if raw else {}
    if not isinstance(document, dict):
        raise errors.unreadable()
    return document


def page(org: Org, request: Request, members: Sequence[Json], *, default: int, most: int) -> Response:
    """One page, and the next one in `Link`: `after` is opaque and not guessable."""
    try:
        limit = int(request.query_params.get("limit", default))
        start = int(_opened(request.query_params.get("after")))
    except ValueError:
        raise errors.invalid("limit") from None
    if not SMALLEST_PAGE <= limit <= most:
        raise errors.invalid("limit", f"limit: must be {SMALLEST_PAGE} to {most}")
    end = start + min(limit, org.management.largest_page)
    response = JSONResponse(list(members[start:end]))
    response.headers.append("link", f'<{request.url.replace(netloc=_netloc(org))}>; rel="self"')
    if end < len(members):
        url = request.url.replace(netloc=_netloc(org)).include_query_params(after=_sealed(end))
        response.headers.append("link", f'<{url}>; rel="next"')
    return response


def _netloc(org: Org) -> str:
    return org.base_url.partition("://")[2]


def _sealed(position: int) -> str:
    return base64.urlsafe_b64encode(f"after:{position}".encode()).decode()


def _opened(after: str | None) -> str:
    """Raises ValueError."""
    if after is None:
        return "0"
    return base64.urlsafe_b64decode(after).decode().removeprefix("after:")
