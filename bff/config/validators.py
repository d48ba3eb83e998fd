"""Validators of single settings. Each returns the value, or raises an error with the problem and its fix."""

import ipaddress
import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr
from pydantic_core import PydanticCustomError

from bff.base64url import decode_base64url

NEW_KEY = "Make one with `bff keys new`."
# The example in docs/settings.md. It is public, so it is rejected as a key.
EXAMPLE_KEY = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQERPHJmVQzvQ"
REDIS_SCHEMES = ("redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
STORE_SCHEMES = ("sqlite", *REDIS_SCHEMES)
PLACEHOLDER = re.compile(r"[{}<>$]|%7b|your[-_]?okta[-_]?domain|your[-_]?client", re.IGNORECASE)
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 section 3.3
_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+/?|/")  # without escapes, dot segments and empty segments
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\]")


def invalid(problem: str, fix: str) -> PydanticCustomError:
    """Builds the error that `load_settings` converts into a ConfigurationError for the setting."""
    return PydanticCustomError("setting", "{problem} {fix}", {"problem": problem, "fix": fix})


def is_loopback(host: str | None) -> bool:
    """True for localhost, its subdomains, 127.0.0.0/8 and ::1, which browsers trust without TLS."""
    if not host:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def words(value: Any) -> Any:
    """Splits text at commas and white space. Any other value is returned unchanged."""
    return tuple(word for word in re.split(r"[,\s]+", value) if word) if isinstance(value, str) else value


def number(value: Any) -> Any:
    """Rejects TOML's true and false where a number is expected; pydantic would read them as 1 and 0."""
    if isinstance(value, bool):
        raise invalid("is true or false.", "Give a number.")
    return value


def lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def url(value: str, *, schemes: tuple[str, ...] = ("https", "http"), example: str) -> SplitResult:
    """Parses an absolute URL without userinfo, query or fragment and with a valid lower-case host."""
    fix = f"Give an absolute URL like {example}."
    if value != value.strip() or any(ord(char) <= 0x20 or char in '\\"<>^`{|}\x7f' for char in value):
        raise invalid("contains white space, a placeholder or a character that is invalid in a URL.", fix)
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise invalid("is not a URL.", fix) from None
    if port == 0:
        raise invalid("has the port 0.", fix)
    if parts.scheme not in schemes or value.split(":", 1)[0] != parts.scheme:
        raise invalid(f"does not start with {' or '.join(f'{scheme}://' for scheme in schemes)}.", fix)
    if parts.username is not None or parts.password is not None:
        raise invalid("contains a user name or password.", "Remove everything before the @.")
    host = parts.netloc if port is None else parts.netloc.rpartition(":")[0]
    if not _HOST.fullmatch(host):
        raise invalid(
            "has no host, or one that is not in lower-case ASCII.", f"{fix} An IDN is written in its xn-- form."
        )
    if "?" in value or "#" in value:
        raise invalid("contains a query or a fragment.", "Remove everything from the ? or # on.")
    return parts


def issuer(value: str) -> str:
    """Validates the issuer, which must equal the discovery document's exactly (OIDC Discovery section 4.3).

    A trailing slash is part of it: Auth0, authentik and others have one.
    """
    example = "https://example.okta.com/oauth2/default"
    if PLACEHOLDER.search(value):
        raise invalid("still contains a placeholder.", f"Use your own Okta domain, like {example}.")
    parts = url(value, example=example)
    first_label, _, domain = (parts.hostname or "").partition(".")
    if first_label.endswith("-admin") and "okta" in domain:
        fix = f"Use the Okta domain without -admin: {value.replace('-admin.', '.', 1).rstrip('/')}."
        raise invalid("is the address of the Admin Console, which issues no tokens.", fix)
    return _https_off_loopback(value, parts)


def provider_endpoint(value: str) -> str:
    """Validates the URL of one of the provider's endpoints."""
    return _https_off_loopback(value, url(value, example="https://id.example.com/oauth2/revoke"))


def origin(value: str) -> str:
    """Validates a web origin (RFC 6454): scheme, host, and the port only if it is not the default."""
    example = "https://app.example.com"
    if value in {"*", "null"} or "*" in value:
        raise invalid("is a wildcard or null.", f"List each origin exactly, like {example}.")
    parts = url(value, example=example)
    if parts.path:
        raise invalid("contains a path.", f"Write {parts.scheme}://{parts.netloc} without anything after it.")
    if parts.port == {"https": 443, "http": 80}[parts.scheme]:
        fix = f"Write {parts.scheme}://{parts.netloc.rpartition(':')[0]}: browsers leave the default port out."
        raise invalid("contains the default port.", fix)
    return _https_off_loopback(value, parts)


def _https_off_loopback(value: str, parts: SplitResult) -> str:
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise invalid("is http, and the host is not this machine.", f"Use https{value.removeprefix('http')}.")
    return value


def base_url(value: str) -> str:
    """Validates the base URL of an upstream: scheme, host and an optional path. Removes a trailing slash."""
    parts = url(value, example="http://127.0.0.1:9000")
    if parts.path and not _PATH.fullmatch(parts.path):
        raise invalid("has a path with empty or encoded segments.", "Write a plain path, like /v1.")
    return value.rstrip("/")


def path(value: str) -> str:
    """Validates a path of the BFF: absolute, without dot segments, escapes, query or fragment."""
    if not _PATH.fullmatch(value):
        raise invalid("is not a plain absolute path.", "Write it like /app: letters, digits and -._~ between slashes.")
    return value


def session_key(value: SecretStr) -> SecretStr:
    """Validates a session key: base64url of 32 random bytes. Rejects text, patterns and the documented example."""
    key = key_bytes(value)
    if key is None:
        raise invalid("is not 32 bytes in base64url.", NEW_KEY)
    steps = {(after - before) % 256 for before, after in pairwise(key)}
    # 32 random bytes have about 30 distinct values; fewer than 16 has a probability below 10**-11.
    if len(set(key)) < 16 or len(steps) == 1 or all(0x20 <= byte < 0x7F for byte in key):
        raise invalid("is a pattern or text, not random bytes.", NEW_KEY)
    if key == key_bytes(SecretStr(EXAMPLE_KEY)):
        raise invalid("is the example of the documentation, which is public.", NEW_KEY)
    return value


def key_bytes(value: SecretStr) -> bytes | None:
    """Returns the 32 bytes of a key, or None if the size is wrong or the text is not canonical base64url."""
    key = decode_base64url(value.get_secret_value().rstrip("="))
    return key if key is not None and len(key) == 32 else None


def store(value: str) -> str:
    """Validates the URL of a store. It may contain a password, so no message quotes it."""
    scheme, separator, rest = value.partition("://")
    example = "Write sqlite:///var/bff.db, sqlite:////absolute/bff.db or redis://host:6379/0."
    if not separator or scheme not in STORE_SCHEMES:
        raise invalid("is not a supported store.", f"{example} Schemes: {', '.join(STORE_SCHEMES)}.")
    if scheme == "sqlite" and not (rest.startswith("/") and rest.strip("/") and not {"?", "#"} & set(rest)):
        raise invalid("is not sqlite:/// and the path of a file, without options.", example)
    if scheme != "sqlite":
        try:
            hosts = urlsplit(value).netloc.rpartition("@")[2]
        except ValueError:
            hosts = ""
        if not hosts:
            raise invalid("names no host.", example)
    return value


def proxy(value: str) -> str:
    """Validates the URL of the outbound proxy to the provider. It may contain a password, so no message quotes it."""
    try:
        parts = urlsplit(value)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        valid = valid and not (parts.path.strip("/") or parts.query or parts.fragment)
    except ValueError:
        valid = False
    if not valid:
        raise invalid("is not a proxy URL.", "Write http://proxy.example.com:3128.")
    return value


def scope(value: str) -> str:
    if not _SCOPE_TOKEN.fullmatch(value):
        raise invalid(
            "contains a scope with a quote, a backslash or a non-ASCII character.",
            "Name scopes as the provider lists them.",
        )
    return value


def network(value: str) -> str:
    """Validates an IP address or a CIDR block. `unix` stands for peers on the BFF's Unix socket."""
    if value == "unix":
        return value
    try:
        if "%" in value:  # an IPv6 zone, which ipaddress ignores in comparisons
            raise ValueError(value)
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise invalid(
            f"contains {value!r}, which is not an IP address or CIDR block.", "Write 10.0.0.7 or 10.0.0.0/8."
        ) from None


def address(value: str) -> tuple[str, int] | Path:
    """Parses `host:port` into a pair, or `unix:/path` into a path.

    Port 0 selects any free port. An IPv6 host is written in brackets.
    """
    if value.startswith("unix:"):
        path = Path(value.removeprefix("unix:"))
        if not path.is_absolute() or len(str(path).encode()) > 107:
            raise invalid("is not an absolute path of at most 107 bytes.", "Write unix:/run/bff/bff.sock.")
        return path
    host, colon, port = value.rpartition(":")
    unbracketed = host.strip("[]")
    if not colon or not unbracketed or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise invalid("is not host:port.", "Write 127.0.0.1:8080, [::1]:8080 or unix:/run/bff/bff.sock.")
    if (":" in unbracketed) != (host.startswith("[") and host.endswith("]")):
        raise invalid("has an IPv6 host without brackets.", "Write [::1]:8080.")
    return unbracketed, int(port)


def listen(value: str) -> str:
    address(value)
    return value


def listen_or_off(value: str) -> str:
    return value if value == "off" else listen(value)


def file(value: Path) -> Path:
    if not value.is_file():
        raise invalid("names no file.", "Give the path of a file that this process can read.")
    return value


def style_sheet(value: Path) -> Path:
    try:
        css = file(value).read_bytes()
        text = css.decode("utf-8")
    except (OSError, UnicodeDecodeError):
        raise invalid("cannot be read as UTF-8 text.", "Give a CSS file that this process can read.") from None
    if len(css) > 65536 or "</" in text or "\0" in text:
        raise invalid(
            "is not a style sheet of at most 64 KiB.", "Remove anything that looks like the end of an element."
        )
    return value


def spa_dir(value: Path) -> Path:
    if not (value / "index.html").is_file():
        raise invalid("is not a directory with an index.html.", "Set it to the directory that the SPA's build writes.")
    return value
