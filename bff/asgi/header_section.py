"""The headers of a request, in an object that all requests with the same headers share.

A browser repeats the headers of a request, byte for byte, in most of the following ones. What a component derives from
the headers alone it keeps with them, and need not derive it again.
"""

from collections.abc import Collection, Iterable, MutableMapping
from typing import Any, Final, TypeAlias

Header: TypeAlias = tuple[bytes, bytes]

# Facts of a section that depend on the route are kept up to this number of facts: the memory of a section is counted
# when it is kept. A browser calls few routes with the same headers.
FACTS_LIMIT: Final = 12


class HeaderSection(tuple[Header, ...]):
    """`scope["headers"]` of a request without a body. Immutable, so that its facts stay true.

    Middleware that changes headers puts another sequence into the scope, which has no facts.
    """

    facts: dict[object, Any]

    def __new__(cls, headers: Iterable[Header]) -> "HeaderSection":
        section = super().__new__(cls, headers)
        section.facts = {}
        return section


def facts_of(headers: Iterable[Header]) -> dict[object, Any] | None:
    """What was derived from these headers before; None if they are not shared.

    A key is an object of the component, and what it derives depends on nothing but the key and the headers. The number
    of facts is fixed, or limited by `FACTS_LIMIT`, as the memory of a section is counted in advance.
    """
    return headers.facts if type(headers) is HeaderSection else None


def keep_headers(scope: MutableMapping[str, Any], names: Collection[bytes]) -> None:
    """Drops the other headers of a long-lived request, in the list that outer middleware refers to as well.

    A shared section stays as it is: other requests have it too, and it takes no memory of this request's own.
    """
    headers = scope["headers"]
    if facts_of(headers) is None:
        headers[:] = [field for field in headers if field[0] in names]
