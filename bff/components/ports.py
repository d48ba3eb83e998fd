"""What an application may be given instead of building it from the settings."""

from dataclasses import dataclass
from typing import Protocol

from bff.oidc.client_auth import ClientAuthentication
from bff.oidc.provider import OpenIDProvider, TokenIssuer
from bff.oidc.transmitter import SecurityEventTransmitter
from bff.session.session import SessionKey
from bff.web.host import Host


class ManagedIssuer(TokenIssuer, Protocol):
    """An authorization server that the application opens and closes, and whose credentials it replaces at a reload."""

    def replace_client_auth(self, client_auth: ClientAuthentication) -> None: ...

    async def close(self) -> None: ...


class ManagedProvider(OpenIDProvider, TokenIssuer, Protocol):
    """A provider that the application opens and closes, and whose credentials it replaces at a reload."""

    def replace_client_auth(self, client_auth: ClientAuthentication) -> None: ...

    async def close(self) -> None: ...


class ManagedTransmitter(SecurityEventTransmitter, Protocol):
    """A transmitter of security events that the application opens and closes."""

    async def close(self) -> None: ...


class Siblings(Protocol):
    """The other workers of this machine, which serve the same users from the same store."""

    @property
    def purges(self) -> bool:
        """Whether this worker deletes expired records: one of them does."""
        ...

    @property
    def rate_memory(self) -> memoryview:
        """What all of them count in (`bff.web.middleware.rate_memory`)."""
        ...

    def session_ended(self, key: SessionKey) -> None:
        """Has the others check that session now."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """`provider` signs users in, and `org` may sign Universal Logout requests. `siblings` are the other workers.

    Without a `provider` both are those of the settings, over HTTP; so is the `transmitter` of security events. `host`
    is the application that the BFF is installed in, for every path that is not ours.
    """

    provider: ManagedProvider | None = None
    org: tuple[ManagedProvider, ...] = ()
    transmitter: ManagedTransmitter | None = None
    siblings: Siblings | None = None
    host: Host | None = None
