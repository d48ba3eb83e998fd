"""The access token of a session for one audience: kept in its record, requested once for all callers and replicas."""

import asyncio
from typing import Final, assert_never

from bff.config.api_tokens import ExchangeToken, ResourceToken, UserApiToken
from bff.errors import ProviderUnavailable, SignInRequired, StepUpRequired, StoreUnavailable
from bff.flows.api_tokens.api_access import ApiAccess, refusal, unavailable
from bff.flows.api_tokens.exchange_request import ExchangeRequests
from bff.flows.background import BackgroundTasks
from bff.flows.refresh.flow import RefreshTokenFlow, SessionAt
from bff.flows.refresh.timing import RefreshTiming
from bff.session.audience_tokens import AwaitToken, RequestToken, RetryToken, UseToken, decide_token
from bff.session.rotation import ResourceCause
from bff.session.session import SessionKey
from bff.session.session_view import SessionView
from bff.session.store import Found, SessionRecords

MAX_REQUESTS: Final = 3  # a caller that has seen so many requests of its own without a token gets an error


class AudienceTokens:
    """One per application."""

    def __init__(
        self,
        store: SessionRecords,
        exchanges: ExchangeRequests,
        refresh: RefreshTokenFlow,
        tasks: BackgroundTasks,
        timing: RefreshTiming,
    ) -> None:
        self._store, self._exchanges, self._refresh, self._tasks = store, exchanges, refresh, tasks
        self._monotonic, self._caller_timeout = timing.monotonic, timing.timeouts.caller
        self._running: dict[tuple[SessionKey, str], asyncio.Task[None]] = {}

    async def access(self, at: SessionAt, token: UserApiToken, *, rejected: str | None = None) -> ApiAccess:
        """A valid access token of this session for the audience or resource.

        `rejected` is the fingerprint of one that an upstream answered with 401; the same token is returned if there is
        no other. Raises ApiTokenRefused, ProviderUnavailable, StoreUnavailable; SignInRequired if the session has
        ended, and StepUpRequired if it did not ask for that resource at its sign-in.
        """
        deadline, requests = self._monotonic() + self._caller_timeout, 0
        by_refresh = isinstance(token, ResourceToken)
        if isinstance(token, ResourceToken) and token.resource not in (at.session.resources or ()):
            # Some providers end the whole grant when a refresh names a resource that was not granted at the sign-in.
            raise StepUpRequired("The API needs a sign-in that asks for access to it.")
        session, now, rotation = at.session, at.now, -1
        while True:
            decision = decide_token(session, token.name, now, rejected=rejected, by_refresh=by_refresh)
            match decision:
                case UseToken(kept, due) if kept.access_token is not None:
                    if due:
                        self._start(session.key, token, rejected)
                    return ApiAccess(kept.access_token, session.dpop_key, kept.usable_until)
                case UseToken() | RequestToken():
                    if requests == MAX_REQUESTS or (by_refresh and not session.tokens.refreshable):
                        raise unavailable(1.0)
                    rotation = session.rotation
                    await self._wait(self._start(session.key, token, rejected), deadline - self._monotonic())
                case AwaitToken(until):
                    await self._refresh.await_holder(session, until - now, deadline - self._monotonic())
                case RetryToken(at=not_before, refused=""):
                    raise unavailable(not_before - now)
                case RetryToken(refused=error):
                    raise refusal(token, error)
                case _:
                    assert_never(decision)
            session, now = await self._read(session.key)
            # A refresh for another resource came first: that is progress.
            requests += session.rotation == rotation

    async def _read(self, key: SessionKey) -> tuple[SessionView, float]:
        stored = await self._store.get(key)
        if isinstance(stored, Found):
            return stored.view, stored.now
        ended = await self._refresh.end_reason(key, stored)
        raise SignInRequired(reason=ended.value if ended else None)

    def _start(self, key: SessionKey, token: UserApiToken, rejected: str | None) -> asyncio.Task[None]:
        """The running request for that token in this process, or a new one."""
        if isinstance(token, ResourceToken):
            return self._refresh.start_for_resource(key, ResourceCause(token.resource, rejected))
        return self._exchange_once(key, token, rejected)

    def _exchange_once(self, key: SessionKey, token: ExchangeToken, rejected: str | None) -> asyncio.Task[None]:
        name = (key, token.name)
        if (running := self._running.get(name)) is not None:
            return running
        task = self._tasks.start(self._exchanges.request(key, token, rejected), "token exchange")
        self._running[name] = task
        task.add_done_callback(lambda _: self._running.pop(name, None))
        return task

    async def _wait(self, task: asyncio.Task[None], within: float) -> None:
        """A caller that disconnects does not cancel the task. Raises ProviderUnavailable and StoreUnavailable."""
        if within <= 0:
            raise unavailable(1.0)
        done, _ = await asyncio.wait([task], timeout=within)
        if not done:
            raise unavailable(1.0)
        if task.cancelled():
            raise StoreUnavailable(retry_after=1)
        match task.exception():
            case StoreUnavailable():
                raise StoreUnavailable(retry_after=1)
            case ProviderUnavailable(retry_after=seconds):
                raise ProviderUnavailable(retry_after=seconds)
            case _:
                return
