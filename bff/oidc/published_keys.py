"""The one document with all our public keys (RFC 7517): those that verify what we sign, and those to encrypt for."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from bff.oidc.jwks import SECRET_MEMBERS

PublicJwk: TypeAlias = Mapping[str, str]


class PublishedKeys:
    """Each feature with keys publishes its own under its name; the document has them all, in the order of features.

    Replacing is one assignment: a concurrent reader sees the document before it or after it.
    """

    def __init__(self, keys: Mapping[str, Iterable[PublicJwk]]) -> None:
        self._by_feature: dict[str, tuple[PublicJwk, ...]] = {}
        self._current = (b"", "")
        self.replace(keys)

    def replace(self, keys: Mapping[str, Iterable[PublicJwk]]) -> None:
        """Replaces the keys of these features. Raises ValueError for a private or symmetric key."""
        by_feature = {**self._by_feature, **{feature: tuple(members) for feature, members in keys.items()}}
        document = key_set_document(member for members in by_feature.values() for member in members)
        self._by_feature = by_feature
        self._current = (document, f'"{hashlib.sha256(document).hexdigest()[:32]}"')

    @property
    def current(self) -> tuple[bytes, str]:
        """The document, and its entity tag (RFC 9110 section 8.8.3)."""
        return self._current


def key_set_document(members: Iterable[PublicJwk]) -> bytes:
    """A JWK Set; a key that is given twice is in it once. Raises ValueError for a private or symmetric key."""
    keys: list[dict[str, str]] = []
    for member in members:
        if not SECRET_MEMBERS.isdisjoint(member):
            raise ValueError("a private or symmetric key must not be published")
        if dict(member) not in keys:
            keys.append(dict(member))
    return json.dumps({"keys": keys}, separators=(",", ":")).encode("ascii")
