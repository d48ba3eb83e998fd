"""Security events of the org: Security Event Tokens in Okta's form, and their push delivery to the streams.

Okta's form differs from SSF 1.0: the subject is inside the event (for `session-revoked` as the member `user` of a
complex subject without `format`), `event_timestamp` is in milliseconds, and there is no `sub_id`.
"""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from demo.simulator.app_integrations import new_id
from demo.simulator.org import Org
from demo.simulator.people import Person

CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
SSF = "https://schemas.openid.net/secevent/ssf/event-type/"
SESSION_REVOKED, CREDENTIAL_CHANGE = f"{CAEP}session-revoked", f"{CAEP}credential-change"
SUPPORTED = (SESSION_REVOKED, CREDENTIAL_CHANGE)
PUSH = "urn:ietf:rfc:8935"
TIMEOUT = 10.0  # seconds of one delivery
TRIES = 20
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds between two tries

Status = Literal["enabled", "paused", "disabled"]


@dataclass(slots=True)
class EventStream:
    """A receiver's subscription. The audience is the delivery URL, unless a test names another one."""

    stream_id: str
    client_id: str
    endpoint_url: str
    authorization_header: str | None = field(repr=False)
    requested: tuple[str, ...] = SUPPORTED
    audience: str | list[str] = ""
    status: Status = "enabled"


class SecurityEvents:
    """One stream per client. Failed deliveries are repeated; a 400 or 401 ends the attempts, as at Okta."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self.streams: dict[str, EventStream] = {}  # by client
        self._deliveries: set[asyncio.Task[Any]] = set()

    def add_stream(
        self,
        endpoint_url: str,
        authorization_header: str | None = None,
        client_id: str = "",
        requested: tuple[str, ...] = SUPPORTED,
    ) -> EventStream:
        stream = EventStream(
            new_id("esc"), client_id, endpoint_url, authorization_header, requested, audience=endpoint_url
        )
        self.streams[client_id] = stream
        return stream

    def subject(self, sub: str) -> dict[str, Any]:
        return {"format": "iss_sub", "iss": self._org.base_url, "sub": sub}

    def payload(self, event: str, sub: str, **changes: Any) -> dict[str, Any]:
        """The members of one event as Okta sends them. A change to None omits a member."""
        subject: dict[str, Any] = self.subject(sub)
        members: dict[str, Any] = {"initiating_entity": "admin", "event_timestamp": int(1000 * self._org.now())}
        if event == SESSION_REVOKED:
            subject = {"user": subject}
            members["reason_admin"] = {"en": "An administrator ended the session"}
        elif event == CREDENTIAL_CHANGE:
            members |= {"credential_type": "password", "change_type": "revoke", "friendly_name": "PASSWORD_AS_FACTOR"}
        return _without_none({"subject": subject, **members, **changes})

    def token(
        self, stream: EventStream, events: Mapping[str, Any], *, header: Mapping[str, Any] | None = None, **changes: Any
    ) -> str:
        claims = {
            "iss": self._org.base_url,
            "jti": f"set-{secrets.token_hex(16)}",
            "iat": int(self._org.now()),
            "aud": stream.audience,
            "events": dict(events),
            **changes,
        }
        return self._org.keys.current.sign(_without_none(claims), {"typ": "secevent+jwt", **(header or {})})

    async def deliver(self, stream: EventStream, token: str, *, url: str | None = None) -> int | None:
        """The status of one delivery, None without an answer. `url` is where a test wants it instead."""
        headers = {"content-type": "application/secevent+jwt", "accept": "application/json"}
        if stream.authorization_header is not None:
            headers["authorization"] = stream.authorization_header
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT) as http:
                answer = await http.post(url or stream.endpoint_url, content=token, headers=headers)
        except httpx.HTTPError:
            return None
        return answer.status_code

    def end_sessions(self, person: Person) -> int:
        """Ends the user's sessions at the org, as an administrator does without the box for tokens.

        No token is revoked: only the streams learn of it. Returns how many there are.
        """
        self._org.sessions.end_all_of(person.sub)
        self._org.record("session_ended", f"an administrator ended the Okta sessions of {person.login}", sub=person.sub)
        return self.emit(SESSION_REVOKED, person.sub)

    async def order(
        self, *, event: str, sub: str, url: str | None = None, times: int = 1, **changes: Any
    ) -> int | None:
        """Delivers an event by its short name `times` times to the first stream; the status of the last delivery."""
        (stream, *_), event_type = self.streams.values(), CAEP + event
        token = self.token(stream, {event_type: self.payload(event_type, sub, **changes)})
        status = None
        for _ in range(times):
            status = await self.deliver(stream, token, url=url)
        return status

    def order_status(self, *, status: Status) -> None:
        """Sets the status of every stream."""
        for stream in self.streams.values():
            self.set_status(stream, status)

    def emit(self, event: str, sub: str, **changes: Any) -> int:
        """Sends an event to every stream that asked for it. Returns how many there are."""
        wanted = [stream for stream in self.streams.values() if event in stream.requested]
        for stream in wanted:
            if stream.status == "enabled":
                self._send(stream, self.token(stream, {event: self.payload(event, sub, **changes)}), event)
        return len(wanted)

    def verify(self, stream: EventStream, state: str | None) -> None:
        payload = {} if state is None else {"state": state}
        stream_subject = {"format": "opaque", "id": stream.stream_id}
        self._send(stream, self.token(stream, {f"{SSF}verification": payload}, sub_id=stream_subject), "verification")

    def set_status(self, stream: EventStream, status: Status) -> None:
        stream.status = status
        stream_subject = {"format": "opaque", "id": stream.stream_id}
        events = {f"{SSF}stream-updated": {"status": status}}
        self._send(stream, self.token(stream, events, sub_id=stream_subject), "stream-updated")

    async def close(self) -> None:
        for delivery in self._deliveries:
            delivery.cancel()
        await asyncio.gather(*self._deliveries, return_exceptions=True)

    def _send(self, stream: EventStream, token: str, event: str) -> None:
        delivery = asyncio.create_task(self._until_accepted(stream, token, event))
        self._deliveries.add(delivery)
        delivery.add_done_callback(self._deliveries.discard)

    async def _until_accepted(self, stream: EventStream, token: str, event: str) -> None:
        name, pause = event.rpartition("/")[2], FIRST_PAUSE
        for attempt in range(TRIES):
            status = await self.deliver(stream, token)
            if status is not None and status < 500 and status != 429:
                text = f"the delivery of {name} was answered {status}"
                self._org.record("security_event", text, event=name, status=status, attempts=attempt + 1)
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        self._org.record("security_event", f"the delivery of {name} was given up", event=name, status=None)


def _without_none(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
