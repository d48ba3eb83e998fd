"""What an application may be given instead of building it from the settings."""

from dataclasses import dataclass
from typing import Protocol

from bff.oidc.client_auth import ClientAuthentication
from bff.oidc.provider import OpenIDProvider


class ManagedProvider(OpenIDProvider, Protocol):
    """A provider that the application opens and closes, and whose credentials it replaces at a reload."""

    def replace_client_auth(self, client_auth: ClientAuthentication) -> None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Ports:
    """`provider` signs users in, and `org` may sign Universal Logout requests.

    Without a `provider` both are those of the settings, over HTTP.
    """

    provider: ManagedProvider | None = None
    org: tuple[ManagedProvider, ...] = ()
