"""The flows: what happens to a session from sign-in to sign-out."""

from dataclasses import dataclass

from bff.components.providers import Providers
from bff.components.runtime import Runtime
from bff.components.stores import Stores
from bff.components.token_issuers import OpenIssuers
from bff.flows.api_tokens.api_access import TokenIssuers
from bff.flows.api_tokens.audience_tokens import AudienceTokens
from bff.flows.api_tokens.client_credentials import ClientTokens
from bff.flows.api_tokens.exchange_request import ExchangeRequests
from bff.flows.api_tokens.flow import ApiTokens
from bff.flows.authorization_request import AuthorizationRequests
from bff.flows.build_session import BuildSession
from bff.flows.establish_session import EstablishSession
from bff.flows.identity_assertions import IdentityAssertions
from bff.flows.logout.end_session import EndSession
from bff.flows.logout.end_sessions import EndSessions
from bff.flows.logout.provider_logout import ProviderLogoutFlow
from bff.flows.logout.provider_sign_out import ProviderSignOut
from bff.flows.logout.revocations import Revocations
from bff.flows.recent_records import RecentRecords
from bff.flows.refresh.attempt import RefreshAttempts
from bff.flows.refresh.flow import RefreshTokenFlow
from bff.flows.refresh.outcome import RefreshOutcomes
from bff.flows.refresh.reservation import Reservations
from bff.flows.refresh.timing import RefreshTimeouts, RefreshTiming
from bff.flows.sign_in import AuthorizationCodeFlow
from bff.flows.streams import OpenStreams


@dataclass(frozen=True, slots=True)
class SessionFlows:
    """What keeps a session usable, and what ends it."""

    streams: OpenStreams
    revocations: Revocations
    end_session: EndSession
    end_sessions: EndSessions
    refresh: RefreshTokenFlow


@dataclass(frozen=True, slots=True)
class SignInFlows:
    """The two halves of a sign-in: the request to the provider, and its response."""

    requests: AuthorizationRequests
    code: AuthorizationCodeFlow


@dataclass(frozen=True, slots=True)
class LogoutFlows:
    """`at_provider` ends the session at the provider too; `by_provider` handles the provider's own logout requests."""

    at_provider: ProviderSignOut
    by_provider: ProviderLogoutFlow


@dataclass(frozen=True, slots=True)
class Flows:
    sessions: SessionFlows
    sign_in: SignInFlows
    logout: LogoutFlows
    assertions: IdentityAssertions
    api_tokens: ApiTokens


def build_flows(
    runtime: Runtime, stores: Stores, providers: Providers, issuers: OpenIssuers, timeouts: RefreshTimeouts
) -> Flows:
    sessions, settings = _session_flows(runtime, stores, providers, timeouts), runtime.settings
    return Flows(
        sessions=sessions,
        sign_in=_sign_in_flows(runtime, stores, providers, sessions),
        logout=_logout_flows(runtime, stores, providers, sessions),
        api_tokens=_api_tokens(runtime, stores, issuers, sessions, timeouts),
        assertions=IdentityAssertions(settings.browser.public_url, settings.assertions.ring, clock=runtime.clock),
    )


def _session_flows(runtime: Runtime, stores: Stores, providers: Providers, timeouts: RefreshTimeouts) -> SessionFlows:
    store, tasks, policy, issuer = stores.sessions, runtime.tasks, runtime.policy, runtime.settings.provider.issuer
    siblings = runtime.siblings
    streams = OpenStreams(store, policy, announce=siblings.session_ended if siblings is not None else None)
    revocations = Revocations(store, providers.main, tasks, issuer)
    grace = runtime.settings.store.outage_grace
    recent = RecentRecords(grace, policy) if grace else None
    end_session = EndSession(store, revocations, tasks, streams=streams, recent=recent)
    timing = RefreshTiming(policy, timeouts=timeouts)
    attempts = RefreshAttempts(
        Reservations(store, timing),
        providers.main,
        RefreshOutcomes(store, providers.id_tokens, end_session, timing, runtime.settings.provider),
        timing,
        concurrency=runtime.settings.refresh.concurrency,
    )
    return SessionFlows(
        streams=streams,
        revocations=revocations,
        end_session=end_session,
        end_sessions=EndSessions(store, end_session, stores.logout_markers, tasks, issuer),
        refresh=RefreshTokenFlow(store, attempts, end_session, tasks, timing),
    )


def _api_tokens(
    runtime: Runtime, stores: Stores, opened: OpenIssuers, sessions: SessionFlows, timeouts: RefreshTimeouts
) -> ApiTokens:
    provider, tasks = runtime.settings.provider, runtime.tasks
    issuers, timing = TokenIssuers(opened.by_client, opened.own), RefreshTiming(runtime.policy, timeouts=timeouts)
    exchanges = ExchangeRequests(stores.sessions, issuers, sessions.refresh, sessions.revocations, timing)
    return ApiTokens(
        audiences=AudienceTokens(stores.sessions, exchanges, sessions.refresh, tasks, timing),
        own=ClientTokens(issuers, tasks, dpop=provider.uses_dpop),
    )


def _sign_in_flows(runtime: Runtime, stores: Stores, providers: Providers, sessions: SessionFlows) -> SignInFlows:
    store, settings, clock = stores.sessions, runtime.settings, runtime.clock
    build = BuildSession(store, providers.id_tokens, providers.offline_access, settings, clock=clock)
    establish = EstablishSession(
        store, sessions.end_session, stores.logout_markers, sessions.streams, settings.provider
    )
    return SignInFlows(
        requests=AuthorizationRequests(store, providers.main, stores.ring, settings, clock=clock),
        code=AuthorizationCodeFlow(store, providers.main, build, establish, settings),
    )


def _logout_flows(runtime: Runtime, stores: Stores, providers: Providers, sessions: SessionFlows) -> LogoutFlows:
    store, settings = stores.sessions, runtime.settings
    signers = (providers.main, *providers.org)
    return LogoutFlows(
        at_provider=ProviderSignOut(store, providers.main, settings),
        by_provider=ProviderLogoutFlow(store, signers, sessions.end_sessions, settings, clock=runtime.clock),
    )
