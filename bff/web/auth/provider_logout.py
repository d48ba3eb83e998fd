"""Logout requests from the provider: back-channel, front-channel, and Okta's Universal Logout.

These endpoints need neither a cookie nor a CSRF header: a signature authorises the request, or (front-channel) the
`sid`, which a third party does not know. Each request may be repeated.
"""

from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from bff.errors import (
    InvalidRequest,
    RevocationRefused,
    SignOutImpossible,
    StoreUnavailable,
    UnsupportedMediaType,
    UserUnknown,
)
from bff.flows.logout.provider_logout import ProviderLogoutFlow
from bff.oidc.global_token_revocation import MAX_BODY_BYTES, read_subject
from bff.oidc.jwe import MAX_JWE_LENGTH
from bff.web.request_body import media_type, parse_fields, read_body, read_form_fields
from bff.web.responses import PRIVATE, raw_response
from bff.web.route_description import described

FORM_LIMIT = MAX_JWE_LENGTH + 1024  # bytes
FRONT_CHANNEL_LIMIT = 4096  # bytes

# Loaded in a hidden frame of the provider's page: empty, and useless to any other framing page.
_EMPTY_PAGE = b"<!doctype html><title>Signed out</title>"
_PAGE_HEADERS = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-length", str(len(_EMPTY_PAGE)).encode("ascii")),
    (b"content-security-policy", b"default-src 'none'"),
    *PRIVATE,
)


@dataclass(frozen=True, slots=True)
class ProviderLogout:
    logout_tokens: ProviderLogoutFlow

    async def back_channel(self, request: Request) -> Response:
        """200 when no named session exists any more (Back-Channel Logout section 2.8), 400 for an invalid token. 503
        when the store or the keys are unavailable: the provider retries, and the token does not count as used.
        """
        fields = await read_form_fields(request, FORM_LIMIT)
        if "logout_token" not in fields:
            raise InvalidRequest("The parameter logout_token is missing.")
        await self.logout_tokens.back_channel(fields["logout_token"])
        return raw_response(200, [(b"content-length", b"0"), *PRIVATE])

    async def front_channel(self, request: Request) -> Response:
        """An empty page, whatever was found. Okta's documentation shows both GET and POST."""
        encoded = request.scope["query_string"]
        if request.method == "POST" and media_type(request) == "application/x-www-form-urlencoded":
            encoded = await read_body(request, FRONT_CHANNEL_LIMIT) or encoded
        fields = parse_fields(encoded)
        await self.logout_tokens.front_channel(fields.get("iss"), fields.get("sid"))
        return raw_response(200, _PAGE_HEADERS, b"" if request.method == "HEAD" else _EMPTY_PAGE)

    async def universal(self, request: Request) -> Response:
        """204 done, 400 malformed, 401 not authorized, 404 unknown user, 422 subject format not supported.

        The token is validated before the body is read. 503 when the store or the keys are unavailable.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or len(request.headers.getlist("authorization")) != 1:
            raise RevocationRefused("no bearer token")
        authorized = await self.logout_tokens.authorize_revocation(token.strip(" "))
        if media_type(request) != "application/json":
            raise UnsupportedMediaType("Send application/json.")
        await self.logout_tokens.universal_logout(authorized, read_subject(await read_body(request, MAX_BODY_BYTES)))
        return raw_response(204, PRIVATE)


def provider_logout_router(endpoint: ProviderLogout) -> APIRouter:
    router = APIRouter()

    form = {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}

    @router.post(
        "/auth/backchannel-logout",
        **described("OpenID Connect Back-Channel Logout", body=form, errors=(InvalidRequest, StoreUnavailable)),
    )
    async def back_channel(request: Request) -> Response:
        return await endpoint.back_channel(request)

    description = described("OpenID Connect Front-Channel Logout", media_type="text/html", errors=(StoreUnavailable,))

    @router.head("/auth/frontchannel-logout", include_in_schema=False)
    @router.get("/auth/frontchannel-logout", **description)
    @router.post("/auth/frontchannel-logout", **description)
    async def front_channel(request: Request) -> Response:
        return await endpoint.front_channel(request)

    description = described(
        "Global Token Revocation, as Okta's Universal Logout sends it",
        status=204,
        body={"application/json": {"schema": {"type": "object"}}},
        errors=(InvalidRequest, RevocationRefused, UserUnknown, SignOutImpossible, UnsupportedMediaType),
    )

    @router.post("/auth/global-token-revocation", **description)
    async def universal(request: Request) -> Response:
        return await endpoint.universal(request)

    return router
