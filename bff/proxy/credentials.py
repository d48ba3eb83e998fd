"""The credentials of one request to an upstream: the port through which the proxies use a session."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol, TypeAlias

from bff.config.api_tokens import ApiToken
from bff.config.routes import Route
from bff.session.stream_end import StreamEnd

# Closes a long-lived exchange for this reason.
CloseStream: TypeAlias = Callable[[StreamEnd], None]
Unregister: TypeAlias = Callable[[], None]


class UpstreamCredentials(Protocol):
    """What a session lends to one request: an access token, DPoP proofs for it, and its renewal.

    Belongs to a single request, because `renew` replaces the token.
    """

    @property
    def access_token(self) -> str:
        """The session's own; after `request_token` the requested one."""
        ...

    @property
    def scopes(self) -> Collection[str]:
        """The scopes of the session's own access token."""
        ...

    async def request_token(self, token: ApiToken) -> None:
        """From here on the credentials are another access token, for the APIs of a route.

        Raises ApiTokenRefused, ProviderUnavailable, StoreUnavailable, SignInRequired.
        """
        ...

    def claim(self, name: str) -> Any:
        """A claim of the user, as of the sign-in or of the latest ID token of a refresh; None if there is none."""
        ...

    def authorize(self, route: Route) -> None:
        """Raises ForbiddenByRule if the rules of the route do not allow the session; and so does `renew`, with the
        claims as they are then.
        """
        ...

    def require_device(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Raises DeviceBindingRequired unless the request proves that it comes from the session's device."""
        ...

    @property
    def dpop_bound(self) -> bool:
        """Whether the access token is bound to a key (RFC 9449), so that every use needs a proof."""
        ...

    def dpop_proof(self, method: str, url: str, nonce: str | None) -> str:
        """The proof for one use of the access token; call it only if `dpop_bound`."""
        ...

    def assertion(self, route: Route) -> str:
        """The identity assertion about the user for this route; call it only if the route has an `identity`."""
        ...

    async def renew(self) -> bool:
        """Replaces an access token that an upstream rejected; False if there is no newer one.

        Raises SignInRequired, ProviderUnavailable, StoreUnavailable; ForbiddenByRule after `authorize`, and
        ApiTokenRefused after `request_token`.
        """
        ...

    def register_stream(self, close: CloseStream, *, endless: bool, with_token: bool) -> Unregister:
        """Registers a long-lived exchange, which `close` ends together with the session.

        `endless`: an event stream or a WebSocket, which also ends when the server stops. `with_token`: it ends when the
        access token expires, too. Returns the function that unregisters it.
        """
        ...
