"""The variables that Kubernetes adds to a pod for each Service of its namespace ("service links").

For Services called `bff` or `bff-redis` their names begin with BFF_, as those of settings do.
"""

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Final


def is_service_link(name: str, value: str) -> bool:
    """Whether the variable is a service link, by its name and its value.

    The value must fit too, so that a misspelt setting such as BFF_LISTEN_PORT=8080 stays an error.
    """
    return any(form.fullmatch(name) and fits(value) for form, fits in _FORMS)


def linked_services(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the names of the Services whose links begin with BFF_, sorted."""
    hosts = [
        name.removesuffix(_HOST)
        for name, value in environ.items()
        if name.endswith(_HOST) and is_service_link(name, value)
    ]
    return tuple(sorted(name.lower().replace("_", "-") for name in hosts))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text[:6]) <= 65535


def _is_url(text: str) -> bool:
    url = _URL.fullmatch(text)
    return url is not None and _is_address(url["v6"] or url["v4"]) and _is_port(url["port"])


_URL: Final = re.compile(r"(?:tcp|udp|sctp)://(?:\[(?P<v6>[^][]+)\]|(?P<v4>[^][:]+)):(?P<port>[0-9]+)")
_HOST: Final = "_SERVICE_HOST"
_SERVICE: Final = r"BFF(?:_[A-Z0-9_]+)?"
_PORT: Final = r"_PORT_[0-9]{1,5}_(?:TCP|UDP|SCTP)"
# Some names have two forms: BFF_SERVICE_PORT is the port of the Service `bff`, or the URL of `bff-service`.
_FORMS: Final[tuple[tuple[re.Pattern[str], Callable[[str], bool]], ...]] = (
    (re.compile(_SERVICE + _HOST), _is_address),
    (re.compile(_SERVICE + r"_SERVICE_PORT(?:_[A-Z0-9_]+)?"), _is_port),  # the port with that name
    (re.compile(_SERVICE + r"_PORT"), _is_url),
    (re.compile(_SERVICE + _PORT), _is_url),
    (re.compile(_SERVICE + _PORT + "_ADDR"), _is_address),
    (re.compile(_SERVICE + _PORT + "_PORT"), _is_port),
    (re.compile(_SERVICE + _PORT + "_PROTO"), frozenset({"tcp", "udp", "sctp"}).__contains__),
)
