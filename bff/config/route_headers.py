"""Headers and cookies that a route may name: what an operator may add or let through, and what stays ours alone."""

import re
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator, BeforeValidator, SecretStr

from bff.config import response_headers, validators
from bff.config.request_headers import Disposition, classify, may_be_allowed

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 section 5.6.2
_VALUE: Final = re.compile(r"[\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?")
_FRAMING: Final = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "expect",
    ]
)
# Said by us for every request, from the session and the connection: a constant in their place would be a lie.
_OURS_UP: Final = _FRAMING | frozenset(["authorization", "cookie", "host", "x-forwarded-for", "x-forwarded-host"])
_OWN_COOKIES: Final = ("__host-http-", "bff-")


def _added(headers: dict[str, SecretStr] | None) -> dict[str, SecretStr] | None:
    for name, value in (headers or {}).items():
        if not _TOKEN.fullmatch(name) or name.lower() in _OURS_UP or name.lower().startswith(("sec-", "proxy-")):
            raise validators.invalid(
                f"names {name!r}, which is no header that may be added.", "Choose a header of the API's."
            )
        if not _VALUE.fullmatch(value.get_secret_value()):
            raise validators.invalid(
                f"gives {name} no value, or one outside printable ASCII.", "Give one line of text."
            )
    if headers and len({name.lower() for name in headers}) < len(headers):
        raise validators.invalid("name one header twice.", "Keep each once.")
    return headers


def _sent(name: str) -> str:
    lower = name.lower()
    if not may_be_allowed(lower.encode("ascii", "replace")):
        problem = f"names {name!r}, which no browser may say to an API."
        raise validators.invalid(
            problem, "Remove it. Names have letters, digits and hyphens; cookies are allow_cookies' to list."
        )
    return lower


def _returned(name: str) -> str:
    lower = name.lower()
    if not _TOKEN.fullmatch(name) or not response_headers.may_be_allowed(lower.encode("ascii")):
        raise validators.invalid(f"names {name!r}, which an API can't say here.", "Remove it.")
    return lower


def _cookie(name: str) -> str:
    if not _TOKEN.fullmatch(name) or name.lower().startswith(_OWN_COOKIES):
        raise validators.invalid(
            f"names {name!r}, which is no cookie of an API.", "__Host-Http- and bff- are the BFF's own."
        )
    return name


def _identity(value: str) -> str:
    """`X-User-Sub=sub`: a header that says who is signed in, and the claim that it holds."""
    name, equals, claim = value.partition("=")
    example = "Write it like X-User-Email=email."
    if not equals or not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", name) or not re.fullmatch(r"[!-~]+", claim):
        raise validators.invalid("hold something that is not a header name, = and a claim.", example)
    if not name.lower().startswith(("x-", "remote-")):
        raise validators.invalid(
            f"name {name}, which proxies and browsers give a meaning of their own.", f"Start with X-. {example}"
        )
    if classify(name.lower().encode("ascii")) is Disposition.FORWARDED:
        raise validators.invalid(
            f"name {name}, which browsers send, and which APIs get from them.", f"Choose another. {example}"
        )
    return value


AddedHeaders: TypeAlias = Annotated[dict[str, SecretStr], AfterValidator(_added)]
SentHeaders: TypeAlias = Annotated[tuple[Annotated[str, AfterValidator(_sent)], ...], BeforeValidator(validators.words)]
ReturnedHeaders: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(_returned)], ...], BeforeValidator(validators.words)
]
CookieNames: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(_cookie)], ...], BeforeValidator(validators.words)
]
IdentityHeader: TypeAlias = Annotated[str, AfterValidator(_identity)]
