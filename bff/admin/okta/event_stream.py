"""The stream by which Okta pushes security events to the BFF (Shared Signals).

A stream belongs to the client whose access token creates it: the service app of these commands. So it cannot be read or
changed with an API token.
"""

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from bff.admin.okta.api_error import OktaManagementError
from bff.admin.okta.desired import Desired
from bff.admin.okta.difference import Difference, Findings
from bff.admin.okta.management_api import ManagementApi

Json: TypeAlias = dict[str, Any]
PATH: Final = "/api/v1/ssf/stream"
PUSH: Final = "urn:ietf:rfc:8935"
OKTA_EVENTS: Final = tuple(
    f"https://schemas.openid.net/secevent/caep/event-type/{name}" for name in ("session-revoked", "credential-change")
)
_BY_COMMAND: Final = "`bff okta apply` sets it; manually: `bff docs security-events`."


@dataclass(frozen=True, slots=True)
class EventStreamView:
    """`stream` None: there is none. `readable`: False with an API token."""

    stream: Json | None
    readable: bool = True

    @property
    def url(self) -> Any:
        return None if self.stream is None else self.stream.get("delivery", {}).get("endpoint_url")

    @property
    def events(self) -> list[str]:
        return [] if self.stream is None else [str(event) for event in self.stream.get("events_requested", [])]

    @property
    def audiences(self) -> list[str]:
        aud = None if self.stream is None else self.stream.get("aud")
        return [str(audience) for audience in (aud if isinstance(aud, list) else [aud] if aud is not None else [])]

    def as_json(self) -> Json | None:
        """Without the Authorization header, which Okta does not return."""
        if self.stream is None:
            return None
        return {"id": self.stream.get("stream_id"), "url": self.url, "aud": self.audiences, "events": self.events}


def read(api: ManagementApi, desired: Desired) -> EventStreamView | None:
    """None, without a request, if the settings want no events of this org. Raises OktaManagementError."""
    if not desired.receives_events:
        return None
    if not api.as_service_app:
        return EventStreamView(None, readable=False)
    try:
        streams = list(api.pages(PATH, limit=None))
    except OktaManagementError as error:
        if error.okta_status == 404:
            return EventStreamView(None)
        raise
    return EventStreamView(streams[0] if streams else None)


def compare(view: EventStreamView | None, desired: Desired) -> Findings:
    if view is None:
        return Findings()
    if not view.readable:
        note = (
            "The event stream could not be compared: it belongs to a client, so Okta's API wants a service app "
            "(BFF_OKTA_SERVICE_CLIENT_ID) with ssf.manage and ssf.read."
        )
        return Findings(notes=(note,))
    url, requested = desired.settings.browser.security_events_endpoint, wanted_events(desired)
    if view.stream is None:
        why = "BFF_SECURITY_EVENTS is push, and Okta has no stream to deliver by."
        return Findings((Difference("event_stream", "event_stream", None, url, why, _BY_COMMAND),))
    differences = []
    if view.url != url:
        why = "Okta delivers security events to another address."
        differences.append(Difference("event_stream", "event_stream_url", view.url, url, why, _BY_COMMAND))
    if set(view.events) != set(requested):
        why = "Okta sends other events than those that do something here."
        differences.append(Difference("event_stream", "event_stream_events", view.events, requested, why, _BY_COMMAND))
    accepted = desired.settings.security_events.audience or (url,)
    if view.url == url and not set(view.audiences) & set(accepted):
        why = "Every event would be refused with invalid_audience."
        fix = f"Set BFF_SECURITY_EVENTS_AUDIENCE to {' '.join(view.audiences) or 'the aud of the stream'}."
        differences.append(
            Difference("event_stream", "event_stream_audience", list(accepted), view.audiences, why, fix, by="manual")
        )
    return Findings(tuple(differences))


def wanted_events(desired: Desired) -> list[str]:
    """Okta's events whose action is more than `record`."""
    return [event for event in OKTA_EVENTS if event in desired.event_types]


def apply(api: ManagementApi, view: EventStreamView, desired: Desired) -> None:
    """Creates or replaces the stream; the Authorization header too, which cannot be compared."""
    secret = desired.settings.security_events.authorization
    header = {} if secret is None else {"authorization_header": secret.get_secret_value()}
    delivery = {"method": PUSH, "endpoint_url": desired.settings.browser.security_events_endpoint, **header}
    body: Json = {"delivery": delivery, "events_requested": wanted_events(desired), "format": "iss_sub"}
    if view.stream is None:
        api.post(PATH, body)
    else:
        api.put(PATH, {**body, "stream_id": view.stream.get("stream_id")})


def request_verification(api: ManagementApi, desired: Desired, state: str) -> bool:
    """Asks Okta to send a verification event with `state`. False if there is no stream."""
    view = read(api, desired)
    if view is None or view.stream is None:
        return False
    api.post(f"{PATH}/verification", {"stream_id": view.stream.get("stream_id"), "state": state})
    return True
