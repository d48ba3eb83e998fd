"""The provider's discovery document, fetched and cached (OIDC Discovery 1.0 section 4)."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from bff.oidc.metadata import ProviderMetadata, discovery_url, parse_metadata
from bff.provider.cached_document import CachedDocument, Loaded
from bff.provider.http import HttpResponse

LIFETIME: Final = 3600.0  # seconds; endpoints rarely change, and the last valid document is kept in any case

FetchDocument: TypeAlias = Callable[[str], Awaitable[HttpResponse]]  # raises ProviderUnavailable


def discovery(fetch: FetchDocument, issuer: str, *, clock: Callable[[], float]) -> CachedDocument[ProviderMetadata]:
    """The document of this issuer, which must name exactly this issuer. `clock` is monotonic seconds."""
    url = discovery_url(issuer)

    async def load() -> Loaded[ProviderMetadata]:
        answer = await fetch(url)
        return Loaded(parse_metadata(answer.body, issuer), LIFETIME)

    return CachedDocument("discovery document", load, clock=clock)
