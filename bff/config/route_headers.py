"""Validators for the headers and cookies that a route or forward authentication names.

Some names are reserved: the BFF sets them itself, or proxies and browsers give them a meaning.
"""

import re
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator, BeforeValidator, SecretStr

from bff.config import response_headers, validators
from bff.config.request_headers import Disposition, classify, describes_request, may_be_allowed

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
# The BFF sets these in every request from the session and the connection, so a constant would be wrong.
_SET_BY_BFF: Final = _FRAMING | frozenset(["authorization", "cookie", "host", "x-forwarded-for", "x-forwarded-host"])
_IDENTITY_NAME: Final = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")
_CLAIM: Final = re.compile(r"[!-~]+")
_IDENTITY_EXAMPLE: Final = "X-User-Email=email"
_RESERVED_COOKIE_PREFIXES: Final = ("__host-http-", "__host-bff-", "bff-")


def _validate_added(headers: dict[str, SecretStr] | None) -> dict[str, SecretStr] | None:
    for name, value in (headers or {}).items():
        if not _TOKEN.fullmatch(name) or name.lower() in _SET_BY_BFF or name.lower().startswith(("sec-", "proxy-")):
            raise validators.invalid(
                f"contains {name!r}, which is not a header that may be added.", "Choose a header that the API defines."
            )
        if not _VALUE.fullmatch(value.get_secret_value()):
            raise validators.invalid(
                f"has no value for {name}, or one outside printable ASCII.", "Give one line of text."
            )
    if headers and len({name.lower() for name in headers}) < len(headers):
        raise validators.invalid("contains one header twice.", "Keep it once; case makes no difference.")
    return headers


def _validate_sent(name: str) -> str:
    lower = name.lower()
    if not may_be_allowed(lower.encode("ascii", "replace")):
        problem = f"contains {name!r}, which a browser may not send to an API."
        raise validators.invalid(
            problem, "Remove it. Names have letters, digits and hyphens; cookies belong in allow_cookies."
        )
    return lower


def _validate_returned(name: str) -> str:
    lower = name.lower()
    if not _TOKEN.fullmatch(name) or not response_headers.may_be_allowed(lower.encode("ascii")):
        raise validators.invalid(f"contains {name!r}, which an API may not set here.", "Remove it.")
    return lower


def _validate_cookie(name: str) -> str:
    if not _TOKEN.fullmatch(name) or name.lower().startswith(_RESERVED_COOKIE_PREFIXES):
        raise validators.invalid(
            f"contains {name!r}, which is not a cookie that an API may use.",
            "__Host-Http-, __Host-bff- and bff- are reserved for the BFF.",
        )
    return name


def _validate_identity(value: str) -> str:
    """Validates `X-User-Sub=sub`: an identity header, and the claim of the user that it carries."""
    name, equals, claim = value.partition("=")
    if not equals or not is_identity_name(name) or not _CLAIM.fullmatch(claim):
        fix = f"Write it like {_IDENTITY_EXAMPLE}."
        raise validators.invalid("contains something that is not a header name, = and a claim.", fix)
    check_identity_name(name, f"Write it like {_IDENTITY_EXAMPLE}.")
    return value


def _validate_identity_table(headers: dict[str, str] | None) -> dict[str, str] | None:
    """Validates `{ X-User-Sub = "sub" }`, the same as a table."""
    for name, claim in (headers or {}).items():
        if not is_identity_name(name):
            fix = "Use letters, digits and single hyphens, like X-User-Email."
            raise validators.invalid(f"contains {name!r}, which cannot be the name of an identity header.", fix)
        if not _CLAIM.fullmatch(claim):
            raise validators.invalid(f"has no claim for {name}.", f'Write it like {name} = "email".')
        check_identity_name(name, 'Write it like X-User-Email = "email".')
    if headers and len({name.lower() for name in headers}) < len(headers):
        raise validators.invalid("contains one header twice.", "Keep it once; case makes no difference.")
    return headers


def is_identity_name(name: str) -> bool:
    """Whether it is spelled like an identity header: letters, digits and single hyphens."""
    return _IDENTITY_NAME.fullmatch(name) is not None


def check_identity_name(name: str, example: str) -> None:
    """Raises the error for a name that browsers, proxies or upstreams give another meaning."""
    lower = name.lower()
    if not lower.startswith(("x-", "remote-")) or describes_request(lower.encode("ascii")):
        problem = f"contains {name}, which has a standard meaning for proxies and browsers."
        raise validators.invalid(problem, f"Choose another that starts with X-. {example}")
    if classify(lower.encode("ascii")) is Disposition.FORWARDED:
        problem = f"contains {name}, which browsers send and APIs receive from them."
        raise validators.invalid(problem, f"Choose another. {example}")


AddedHeaders: TypeAlias = Annotated[dict[str, SecretStr], AfterValidator(_validate_added)]
SentHeaders: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(_validate_sent)], ...], BeforeValidator(validators.words)
]
ReturnedHeaders: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(_validate_returned)], ...], BeforeValidator(validators.words)
]
CookieNames: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(_validate_cookie)], ...], BeforeValidator(validators.words)
]
IdentityHeader: TypeAlias = Annotated[str, AfterValidator(_validate_identity)]
IdentityHeaders: TypeAlias = Annotated[dict[str, str], AfterValidator(_validate_identity_table)]
