"""`GET /.well-known/jwks.json`: all our public keys, for the provider, and for others that verify what we sign."""

from typing import Final

from fastapi import APIRouter, Request, Response

from bff.config.browser import KEY_SET_PATH
from bff.oidc.published_keys import PublishedKeys
from bff.web.responses import raw_response

# Short, so that a new key is known soon. A provider may keep the document for longer than it should, which is why a key
# still decrypts after its successor was published.
MAX_AGE: Final = 300  # seconds


def key_set_router(published: PublishedKeys) -> APIRouter:
    router = APIRouter()

    @router.api_route(KEY_SET_PATH, methods=["GET", "HEAD"])
    async def key_set(request: Request) -> Response:
        """The document; 304 if the client has it (RFC 9110 section 13.1.2)."""
        document, etag = published.current
        headers = [
            (b"cache-control", f"public, max-age={MAX_AGE}".encode("ascii")),
            (b"etag", etag.encode("ascii")),
            (b"x-content-type-options", b"nosniff"),
        ]
        known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
        if etag in known or known == {"*"}:
            return raw_response(304, headers)
        # RFC 7517 registers application/jwk-set+json; providers expect what other providers send.
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(document)).encode("ascii"))]
        return raw_response(200, headers, b"" if request.method == "HEAD" else document)

    return router
