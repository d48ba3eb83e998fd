"""The provider's discovery document, fetched and cached (OIDC Discovery 1.0 section 4)."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final, TypeAlias

from bff.config.provider import EndpointSettings
from bff.oidc.metadata import ProviderMetadata, discovery_url, parse_metadata
from bff.provider.cached_document import CachedDocument, Loaded
from bff.provider.response import HttpResponse

logger = logging.getLogger(__name__)

LIFETIME: Final = 3600.0  # seconds; endpoints rarely change, and the last valid document is kept in any case

FetchDocument: TypeAlias = Callable[[str], Awaitable[HttpResponse]]  # raises ProviderUnavailable


def with_configured_endpoints(metadata: ProviderMetadata, endpoints: EndpointSettings) -> ProviderMetadata:
    """The metadata with the endpoints of the settings, which precede those of the document."""
    changes: dict[str, Any] = endpoints.urls
    return replace(metadata, **changes)


def discovery(
    fetch: FetchDocument, issuer: str, endpoints: EndpointSettings, *, clock: Callable[[], float]
) -> CachedDocument[ProviderMetadata]:
    """The document of this issuer, which must name exactly this issuer. `clock` is monotonic seconds."""
    url = discovery_url(issuer)

    async def load() -> Loaded[ProviderMetadata]:
        metadata = parse_metadata((await fetch(url)).body, issuer)
        if metadata.ignored:
            fields = {"members": " ".join(metadata.ignored)}
            logger.warning("members of the discovery document cannot be used and count as absent", extra=fields)
        return Loaded(with_configured_endpoints(metadata, endpoints), LIFETIME)

    return CachedDocument("discovery document", load, clock=clock)
