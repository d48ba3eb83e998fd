"""The receiver of security events, if the settings turn it on: the transmitter, the flow, and the polls."""

from dataclasses import dataclass

from bff.components.ports import ManagedTransmitter, Ports
from bff.components.providers import Providers
from bff.components.runtime import Runtime
from bff.components.stores import Stores
from bff.config.settings import Settings
from bff.errors import ProviderUnavailable
from bff.flows.logout.end_sessions import EndSessions
from bff.flows.security_events.actions import SecurityEventActions
from bff.flows.security_events.poll_delivery import PollDelivery
from bff.flows.security_events.receiver import SecurityEventReceiver
from bff.oidc.security_events import requested_types
from bff.oidc.token import Granted
from bff.provider.connections import open_client
from bff.provider.transmitter import HttpTransmitter

CONNECTIONS = 4  # to the transmitter: keys, the stream, and one poll at a time


@dataclass(frozen=True, slots=True)
class SecurityEvents:
    """`polls` is None with push delivery."""

    transmitter: ManagedTransmitter
    receiver: SecurityEventReceiver
    polls: PollDelivery | None


def build_security_events(
    runtime: Runtime, stores: Stores, providers: Providers, end_sessions: EndSessions, ports: Ports
) -> SecurityEvents | None:
    """None if security events are off."""
    settings, section = runtime.settings, runtime.settings.security_events
    if section.delivery == "off":
        return None
    transmitter = ports.transmitter or _open_transmitter(settings, providers)
    actions = SecurityEventActions(stores.sessions, end_sessions, settings.provider, transmitter.issuer)
    receiver = SecurityEventReceiver(stores.sessions, transmitter, actions, settings, clock=runtime.clock)
    polls = None
    if section.delivery == "poll":
        polls = PollDelivery(
            stores.sessions, transmitter, receiver, interval=section.poll_interval, audiences=section.audience
        )
    return SecurityEvents(transmitter, receiver, polls)


def _open_transmitter(settings: Settings, providers: Providers) -> HttpTransmitter:
    section, transport = settings.security_events, settings.provider.transport

    async def get_token(rejected: str | None) -> str:
        if section.token is not None:
            if rejected is not None:
                raise ProviderUnavailable("The transmitter rejects BFF_SECURITY_EVENTS_TOKEN.")
            return section.token.get_secret_value()
        match await providers.main.client_token(section.scopes):
            case Granted(response) if response.access_token is not None:
                return response.access_token
            case _:
                raise ProviderUnavailable("The provider grants no access token for the transmitter's API.")

    return HttpTransmitter(
        section.issuer(settings.provider),
        open_client(transport, connections=CONNECTIONS, frequent=section.delivery == "poll"),
        get_token,
        requested=requested_types(section.actions),
        timeout=transport.timeout,
    )
