"""The provider's signing keys, fetched and cached: known keys stay valid during an outage, and unknown kids cause few
fetches.
"""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from bff.errors import ProviderUnavailable
from bff.oidc.jwks import KeySet, KeySetRefused, parse_key_set
from bff.provider.cached_document import CachedDocument, Loaded
from bff.provider.discovery import FetchDocument
from bff.telemetry import metrics

logger = logging.getLogger(__name__)

MIN_LIFETIME: Final = 60.0  # seconds: `no-store` must not cause one fetch per sign-in
MAX_LIFETIME: Final = 86400.0  # Okta sometimes says 44 days; a revoked key must not be accepted that long
DEFAULT_LIFETIME: Final = 3600.0
# Tokens with unknown kids, forged ones included, cause at most one fetch in this many seconds.
UNKNOWN_KID_COOL_DOWN: Final = 10.0


class KeySetCache:
    """`jwks_uri` says where the keys are; it raises ProviderUnavailable. `clock` is monotonic seconds."""

    def __init__(
        self, fetch: FetchDocument, jwks_uri: Callable[[], Awaitable[str]], *, clock: Callable[[], float]
    ) -> None:
        self._clock = clock
        self._asked_at: float | None = None

        async def load() -> Loaded[KeySet]:
            try:
                answer = await fetch(await jwks_uri())
                keys = parse_key_set(answer.body)
                loaded = Loaded(keys, lifetime(answer.headers))
                _warn_of_private_keys(keys.private)
            except ProviderUnavailable as error:
                _warn_of_private_keys(error.private if isinstance(error, KeySetRefused) else 0)
                metrics.JWKS_FETCHES.labels(outcome="failed").inc()
                raise
            metrics.JWKS_FETCHES.labels(outcome="fetched").inc()
            return loaded

        self.document = CachedDocument("JWKS document", load, clock=clock)

    async def get(self, kid: str | None = None) -> KeySet:
        """The keys; for an unknown `kid` they are refetched if the cool-down allows it.

        Raises ProviderUnavailable when there are no keys, or when the kid is unknown and the refetch failed, because
        the token then cannot be called invalid.
        """
        cold = self.document.value is None
        keys = await self.document.get()
        if kid is None or keys.has(kid) or cold:
            return keys
        if self.document.loading:  # it may bring the key, at no extra cost
            await self.document.reload()
            keys = await self.document.get()
        if not keys.has(kid) and self._may_refetch():
            await self.document.reload()
            keys = await self.document.get()
        if not keys.has(kid) and self.document.problem is not None:
            raise ProviderUnavailable("The signing keys could not be fetched.", retry_after=int(UNKNOWN_KID_COOL_DOWN))
        return keys

    def _may_refetch(self) -> bool:
        now = self._clock()
        if self._asked_at is not None and now - self._asked_at < UNKNOWN_KID_COOL_DOWN:
            return False
        self._asked_at = now
        return True


def _warn_of_private_keys(count: int) -> None:
    if count:
        metrics.JWKS_PRIVATE_KEYS.inc(count)
        logger.error("the provider publishes private or symmetric keys; none of them is used", extra={"count": count})


def lifetime(headers: Mapping[str, str]) -> float:
    """Seconds that a JWKS response is fresh: Cache-Control max-age less Age (RFC 9111), within our own limits."""
    directives = [part.strip().lower() for part in headers.get("cache-control", "").split(",")]
    if "no-store" in directives or "no-cache" in directives:
        return MIN_LIFETIME
    age = headers.get("age", "").strip()
    for directive in directives:
        if match := re.fullmatch(r'max-age="?([0-9]{1,12})"?', directive):
            spent = float(age) if re.fullmatch(r"[0-9]{1,12}", age) else 0.0
            return min(max(float(match[1]) - spent, MIN_LIFETIME), MAX_LIFETIME)
    return DEFAULT_LIFETIME
