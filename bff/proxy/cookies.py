"""Cookies of an upstream's own: only those that a route lists, and never beyond this host."""

from collections.abc import Collection, Iterable


def cookies_for_upstream(headers: Iterable[tuple[bytes, bytes]], allowed: Collection[bytes]) -> bytes:
    """The listed cookies of a request as one Cookie line, b"" if there are none. Names are compared byte for byte."""
    pairs = (
        pair.strip(b" \t") for name, value in headers if name == b"cookie" for pair in value.split(b";") if b"=" in pair
    )
    return b"; ".join(pair for pair in pairs if pair.partition(b"=")[0].rstrip(b" \t") in allowed)


def cookie_for_browser(set_cookie: bytes, allowed: Collection[bytes], *, secure: bool) -> bytes | None:
    """A Set-Cookie for this host alone, None if its name is not listed.

    A Domain would carry it to sibling hosts, and let it shadow theirs. A cookie without a name (`=x` or `x`) is never
    listed: browsers send its value first in line, where it can look like another cookie.
    """
    pair, *attributes = set_cookie.split(b";")
    name, equals, _ = pair.partition(b"=")
    if not equals or name.strip(b" \t") not in allowed:
        return None
    names = [attribute.partition(b"=")[0].strip(b" \t").lower() for attribute in attributes]
    kept = [attribute for attribute, named in zip(attributes, names, strict=True) if named != b"domain"]
    if secure and b"secure" not in names:
        kept.append(b" Secure")
    return b";".join([pair, *kept])
