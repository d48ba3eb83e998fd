"""Sends the browser to the provider's logout without making that URL readable to a script.

OpenID Connect RP-Initiated Logout puts an ID token into the URL (`id_token_hint`), and a page that receives the URL
holds a token. So the page receives a URL of our own: single-use, valid for a minute, in the browser that signed out.
The real URL is kept in the store, sealed, where every replica finds it, and the browser receives it only in a
`Location` header.
"""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bff.config.settings import Settings
from bff.errors import ProviderUnavailable, StoreUnavailable
from bff.flows.logout.sign_out_hints import SignOutHints
from bff.oidc.logout import end_session_url
from bff.oidc.metadata import ProviderMetadata
from bff.oidc.provider import OpenIDProvider
from bff.session.session import Session
from bff.session.store import SessionStore

logger = logging.getLogger(__name__)

TICKET_LIFETIME: Final = 60  # seconds from the sign-out to the navigation
# Characters. With the other headers it fits into the 16 KiB that proxies have for the head of a response; with a longer
# one they would respond with 502.
LONGEST_URL: Final = 15_000
METADATA_TIMEOUT: Final = 0.5  # seconds: a sign-out does not wait for an unavailable provider


@dataclass(frozen=True, slots=True)
class SignOutTicket:
    """`ticket` goes into the URL that the page receives, `browser` into an HttpOnly cookie: neither is of use without
    the other.
    """

    ticket: str = field(repr=False)
    browser: str = field(repr=False)


class ProviderSignOut:
    def __init__(self, store: SessionStore, provider: OpenIDProvider, settings: Settings) -> None:
        self._store, self._provider, self._settings = store, provider, settings
        self._hints = SignOutHints(store)

    async def prepare(self, session: Session) -> SignOutTicket | None:
        """Stores the provider's logout URL for a session that has just ended; None if there is none.

        Never raises. The session has ended in any case: after a failure the user only stays signed in at the provider.
        """
        return await self._prepare(session.tokens.id_token)

    async def prepare_after_end(self, names: Sequence[str]) -> SignOutTicket | None:
        """As `prepare`, for a session that ended by itself earlier. `names` are its key and its browser's hash."""
        try:
            hint = await self._hints.take(names)
        except StoreUnavailable as error:
            logger.warning("the provider's logout could not be prepared", extra={"error": type(error).__name__})
            return None
        return None if hint is None else await self._prepare(hint.id_token)

    async def _prepare(self, id_token: str | None) -> SignOutTicket | None:
        url = await self._end_session_url(id_token)
        if url is None:
            return None
        ticket = SignOutTicket(secrets.token_urlsafe(32), secrets.token_urlsafe(32))
        try:
            until = await self._store.now() + TICKET_LIFETIME
            await self._store.leave_value(_name(ticket), url.encode("ascii"), until)
        except (StoreUnavailable, ValueError) as error:
            logger.warning("the provider's logout could not be prepared", extra={"error": type(error).__name__})
            return None
        return ticket

    async def take(self, ticket: SignOutTicket) -> str | None:
        """The provider's URL, for the first request with both halves in time; None afterwards, and for a guess.

        Raises StoreUnavailable.
        """
        url = await self._store.take_value(_name(ticket))
        return None if url is None else url.decode("ascii")

    async def _end_session_url(self, id_token: str | None) -> str | None:
        use = self._settings.provider.sign_out_hint
        hint = None if use == "never" else id_token
        if hint is None and use == "required":
            return None
        try:
            async with asyncio.timeout(METADATA_TIMEOUT):
                metadata = await self._provider.metadata()
        except (ProviderUnavailable, TimeoutError):
            return None
        url = self._url(metadata, hint)
        if url is not None and hint is not None and len(url) > LONGEST_URL:
            logger.warning("the provider's logout URL is too long for its ID token", extra={"length": len(url)})
            url = None if use == "required" else self._url(metadata, None)
        return url

    def _url(self, metadata: ProviderMetadata, hint: str | None) -> str | None:
        return end_session_url(
            metadata,
            id_token_hint=hint,
            post_logout_redirect_uri=self._settings.browser.post_logout_redirect_uri,
            client_id=self._settings.provider.client_id,
        )


def _name(ticket: SignOutTicket) -> str:
    return f"sign-out {ticket.ticket} {ticket.browser}"
