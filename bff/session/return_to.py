"""The return path after sign-in: a plain path on our own origin, or the fallback.

The rule is an allow-list. A path that the request guard would refuse, or one of the BFF's own endpoints (`/auth/...`,
the callback), is not accepted either.
"""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

# characters; it is sealed into `state`, for which 2048 are a cautious limit
LENGTH_LIMIT: Final = 1024

# RFC 3986 pchar and "/": the characters of a browser's `location.pathname`, percent signs only before two hex digits.
_PATH: Final = re.compile(r"/(?:[A-Za-z0-9/._~!$&'()*+,;=:@|\[\]-]|%[0-9A-Fa-f]{2})*", re.ASCII)
# Query and fragment: printable ASCII without space, backslash, and the characters that end an attribute or a link.
_REST: Final = re.compile(r"(?:[?#][!#$%&'()*+,\-./0-9:;=?@A-Z\[\]^_`a-z{|}~]*)?", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def safe_return_to(
    value: str | None,
    *,
    fallback: str,
    public_url: str,
    callback_path: str = "/authorization-code/callback",
) -> str:
    """`value` if it is a plain path on our origin (with optional query and fragment), else `fallback`.

    An absolute URL with exactly the origin of `public_url` (a `target_link_uri`, OIDC Core section 4) is reduced to
    what follows the origin and validated again. The result is ASCII and safe in a header.
    """
    if value is None or len(value) > LENGTH_LIMIT:
        return fallback
    if value.startswith(public_url):
        value = value[len(public_url) :]
        if value[:1] in ("?", "#"):
            value = "/" + value
    path_ends = min((at for at in (value.find("?"), value.find("#")) if at >= 0), default=len(value))
    path, rest = value[:path_ends], value[path_ends:]
    if not _PATH.fullmatch(path) or not _REST.fullmatch(rest) or not _is_plain(path, callback_path):
        return fallback
    return value


def _is_plain(path: str, callback_path: str) -> bool:
    """Validates the path as decoding servers will see it."""
    if "//" in path or re.search(r"%2f|%5c", path, re.IGNORECASE):
        return False
    try:
        decoded = unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return False
    if _CONTROL.search(decoded):
        return False
    # "/..;x/" is a dot segment to servers that strip path parameters.
    if any(segment.split(";")[0] in (".", "..") for segment in decoded.split("/")):
        return False
    folded = decoded.casefold() + "/"
    return not folded.startswith(("/auth/", callback_path.casefold().rstrip("/") + "/"))
