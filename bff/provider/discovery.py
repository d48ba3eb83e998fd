"""The provider's discovery document, fetched and cached (OIDC Discovery 1.0 section 4)."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from bff.oidc.metadata import ProviderMetadata, discovery_url, parse_metadata
from bff.provider.cached_document import CachedDocument, Loaded
from bff.provider.response import HttpResponse

logger = logging.getLogger(__name__)

LIFETIME: Final = 3600.0  # seconds; endpoints rarely change, and the last valid document is kept in any case

FetchDocument: TypeAlias = Callable[[str], Awaitable[HttpResponse]]  # raises ProviderUnavailable


def discovery(fetch: FetchDocument, issuer: str, *, clock: Callable[[], float]) -> CachedDocument[ProviderMetadata]:
    """The document of this issuer, which must name exactly this issuer. `clock` is monotonic seconds."""
    url = discovery_url(issuer)

    async def load() -> Loaded[ProviderMetadata]:
        metadata = parse_metadata((await fetch(url)).body, issuer)
        if metadata.ignored:
            fields = {"members": " ".join(metadata.ignored)}
            logger.warning("members of the discovery document cannot be used and count as absent", extra=fields)
        return Loaded(metadata, LIFETIME)

    return CachedDocument("discovery document", load, clock=clock)
