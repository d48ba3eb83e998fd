"""How servers are known to take a path apart, and spellings of `/api/admin` that one of them reads as such."""

import posixpath
import re
from collections.abc import Callable, Iterable
from unicodedata import normalize
from urllib.parse import unquote_to_bytes

# What an upstream may take for /api/admin.
_SPELLINGS = """
    /api//admin/x /api/%61dmin/x /api/%2561dmin/x /api/%25%36%31dmin/x /api/%25u0061dmin/x /api/adm%69n/x
    /api/admin;x/y /api/admin;/y /api/admin%3bx/y /api/admin%253bx/y /api/;/admin/x /api/;a=b/admin/x
    /api/admin%20/x /api/admin%2520/x /api/%20admin/x /api/%20/admin /api/admin+/x /api/admin%c2%a0/x
    /api/admin./x /api/admin. /api/admin..../x /api/.../admin/x /api/admin::$DATA/x
    /api/admin:$i30:$INDEX_ALLOCATION/x /api/admin%3f/x /api/admin%23/x /api/%ef%bd%81dmin/x
    /api/%ef%bc%8fadmin/x /api/%ef%bc%85%36%31dmin/x
"""
SPELLINGS = _SPELLINGS.split()


def once(path: str) -> str:
    return unquote_to_bytes(path).decode("utf-8", "replace")


def without_parameters(path: str) -> str:
    return "/".join(segment.partition(";")[0] for segment in path.split("/"))


def resolved(path: str) -> str:
    """Dot segments resolved, several slashes made one, as most servers do."""
    return posixpath.normpath(re.sub("/+", "/", path) or "/")


READERS: dict[str, Callable[[str], str]] = {
    "unchanged": resolved,
    "decoded": lambda path: resolved(once(path)),
    "decoded twice": lambda path: resolved(once(once(path))),
    "decoded three times": lambda path: resolved(once(once(once(path)))),
    "without parameters": lambda path: resolved(without_parameters(path)),
    "decoded, without parameters": lambda path: resolved(without_parameters(once(path))),
    "without parameters, decoded": lambda path: resolved(once(without_parameters(path))),
    "backslashes as slashes": lambda path: resolved(once(path).replace("\\", "/")),
    "resolved, then decoded and resolved": lambda path: resolved(once(resolved(path))),
    "blanks removed": lambda path: resolved("/".join(segment.strip() for segment in once(path).split("/"))),
    "up to a NUL": lambda path: resolved(once(path).partition("\0")[0]),
    "compatibility forms": lambda path: resolved(normalize("NFKC", once(path)).replace("\\", "/")),
}

MORE_READERS: dict[str, Callable[[str], str]] = {
    **READERS,
    "trailing dots and blanks removed": lambda path: resolved(
        "/".join(segment.rstrip(". ") for segment in once(path).split("/"))
    ),
    "decoded twice, without parameters": lambda path: resolved(without_parameters(once(once(path)))),
}


def by_prefix(prefixes: Iterable[str], path: str) -> str | None:
    """The longest prefix on a boundary of segments: the route table read naively."""
    covering = [prefix for prefix in prefixes if path == prefix or path.startswith(prefix + "/")]
    return max(covering, key=len, default=None)
