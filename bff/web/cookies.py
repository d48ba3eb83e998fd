"""Cookies on the wire: parsed from the raw header bytes, written with every attribute spelled out.

There are five kinds of cookies. `session` holds the sealed session id (Strict). `login-<slot>`, one for each sign-in in
progress, holds the sealed transaction (Lax, because the provider redirects across sites); there are 16 such names, so a
page that makes a browser start a thousand sign-ins fills 16 small cookies. `browser` is a random browser id without
authority (Lax); login and callback use it to find this browser's session, because the Strict cookie is not sent there.
`attempts` counts the sign-ins of the last minute (Lax). `bound` shows for some minutes that the browser has the key of
the session (Strict); Chromium registers no key for a cookie with the prefix of the others. All of them together stay
below `ALL_COOKIES_BYTES`. A framework's cookie parser is not used: it trims more than RFC 6265 does (a name after a NEL
or NBSP byte becomes ours), unquotes values, and takes the last of two cookies with one name. Here names are compared
byte for byte, and a request that carries one of our names twice is refused.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

Header: TypeAlias = tuple[bytes, bytes]

VALUE_LIMIT: Final = 4096  # bytes; browsers keep no larger cookie (RFC 6265bis section 5.7)
# The share of one Cookie line that all BFF cookies may use, names and separators included. Servers reject a line of
# more than 8 KiB (nginx by default: 400), and the application behind us has its own cookies.
ALL_COOKIES_BYTES: Final = 4096
BROWSER_ID_LIFETIME: Final = 400 * 86400  # seconds; the longest that browsers honour

_VALUE: Final = re.compile(rb"[A-Za-z0-9_.-]+")
_LOGIN_SUFFIX: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cookie:
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Absent:
    """Not sent, or with a value that the BFF never writes (another alphabet, empty, too long)."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """Sent twice, so one of them may be injected. Becomes a 400, because either could be the injected one."""


CookieResult: TypeAlias = Cookie | Absent | Repeated


def _pairs(headers: Iterable[Header]) -> Iterator[tuple[bytes, bytes]]:
    """Name and value of every cookie of every Cookie header. Only SP and HTAB are trimmed (RFC 6265 section 4.2.1)."""
    for header, line in headers:
        if header.lower() == b"cookie":
            for pair in line.split(b";"):
                name, equals, value = pair.strip(b" \t").partition(b"=")
                if equals:
                    yield name, value


def _is_ours(value: bytes) -> bool:
    return len(value) <= VALUE_LIMIT and _VALUE.fullmatch(value) is not None


def read_cookies(headers: Iterable[Header], name: str) -> CookieResult:
    """The single cookie of exactly that name. Nothing is unquoted or decoded."""
    wanted = name.encode("ascii")
    values = [value for cookie_name, value in _pairs(headers) if cookie_name == wanted]
    match values:
        case []:
            return Absent()
        case [value]:
            return Cookie(value.decode("ascii")) if _is_ours(value) else Absent()
        case _:
            return Repeated()


def slot_suffix(slot: int) -> str:
    """The suffix of `login-` in the name of a slot's cookie: one hex digit."""
    return f"{slot:x}"


@dataclass(frozen=True, slots=True)
class CookieNames:
    """The names of the cookies.

    `__Host-Http-` makes the browser enforce Secure, HttpOnly, Path=/ and no Domain. `secure=False` is only for an http
    public URL on the loopback interface, where Safari rejects Secure cookies.
    """

    secure: bool = True

    @property
    def _prefix(self) -> str:
        return "__Host-Http-" if self.secure else "bff-"

    @property
    def session(self) -> str:
        return f"{self._prefix}session"

    @property
    def browser(self) -> str:
        return f"{self._prefix}browser"

    @property
    def attempts(self) -> str:
        return f"{self._prefix}attempts"

    @property
    def sign_out(self) -> str:
        return f"{self._prefix}sign-out"

    @property
    def bound(self) -> str:
        return "__Host-bff-bound" if self.secure else "bff-bound"

    def login(self, suffix: str) -> str:
        """Raises ValueError for a value that cannot be part of a cookie's name."""
        if not _LOGIN_SUFFIX.fullmatch(suffix):
            raise ValueError("not the name of a login cookie")
        return f"{self.login_prefix}{suffix}"

    @property
    def login_prefix(self) -> str:
        return f"{self._prefix}login-"

    def set_session(self, value: str) -> Header:
        """No Max-Age: the cookie ends with the browser session, and the server enforces the session's limits."""
        return self._set(self.session, value, "Strict")

    def clear_session(self) -> Header:
        return self._set(self.session, "", "Strict", max_age=0)

    def set_browser_id(self, value: str) -> Header:
        return self._set(self.browser, value, "Lax", max_age=BROWSER_ID_LIFETIME)

    def set_attempts(self, value: str, *, lifetime: int) -> Header:
        """`lifetime` in seconds."""
        return self._set(self.attempts, value, "Lax", max_age=lifetime)

    def set_sign_out(self, value: str, *, lifetime: int) -> Header:
        """`lifetime` in seconds."""
        return self._set(self.sign_out, value, "Strict", max_age=lifetime)

    def clear_sign_out(self) -> Header:
        return self._set(self.sign_out, "", "Strict", max_age=0)

    def set_bound(self, value: str, *, lifetime: int) -> Header:
        """`lifetime` in seconds."""
        return self._set(self.bound, value, "Strict", max_age=lifetime)

    def clear_bound(self) -> Header:
        return self._set(self.bound, "", "Strict", max_age=0)

    def set_login(self, suffix: str, value: str, *, lifetime: int, form_post: bool = False) -> Header:
        """`lifetime` in seconds.

        In form_post mode the response is a cross-site POST, on which Lax cookies are not sent.
        """
        return self._set(self.login(suffix), value, "None" if form_post else "Lax", max_age=lifetime)

    def clear_login(self, suffix: str, *, form_post: bool = False) -> Header:
        return self._set(self.login(suffix), "", "None" if form_post else "Lax", max_age=0)

    def clear_sign_ins(self, headers: Iterable[Header]) -> list[Header]:
        """Deletes every login cookie of the request, including foreign ones, and the attempt counter.

        The session and browser-id cookies stay: they are small, and deleting the session cookie would sign the user
        out.
        """
        carried = {name.decode("latin-1") for name, _ in _pairs(headers)}
        prefix = self.login_prefix
        ours = {name for name in carried if name.startswith(prefix) and _LOGIN_SUFFIX.fullmatch(name[len(prefix) :])}
        ours |= carried & {self.attempts}
        return [self._set(name, "", "Lax", max_age=0) for name in sorted(ours)]

    def _set(self, name: str, value: str, same_site: str, max_age: int | None = None) -> Header:
        """Raises ValueError for a value that `read_cookies` would not accept."""
        if value and not _is_ours(value.encode()):
            raise ValueError(f"not a value for the cookie {name}")
        parts = [f"{name}={value}", "Path=/", "HttpOnly", f"SameSite={same_site}"]
        if self.secure or same_site == "None":  # browsers drop SameSite=None without Secure
            parts.append("Secure")
        if max_age is not None:
            parts.append(f"Max-Age={max_age}")
        return b"set-cookie", "; ".join(parts).encode("ascii")


def login_cookies(headers: Iterable[Header], names: CookieNames) -> dict[str, str | None]:
    """The login cookies of the request by the suffix of their name; None for a value that
    occurs twice or is malformed.
    """
    prefix = names.login_prefix
    cookies: dict[str, str | None] = {}
    for raw_name, raw_value in _pairs(headers):
        name = raw_name.decode("latin-1")
        suffix = name.removeprefix(prefix)
        if name.startswith(prefix) and _LOGIN_SUFFIX.fullmatch(suffix):
            cookies[suffix] = raw_value.decode("ascii") if _is_ours(raw_value) and suffix not in cookies else None
    return cookies
