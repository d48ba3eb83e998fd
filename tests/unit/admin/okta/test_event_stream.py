"""The stream of security events: what differs, and that one `apply` creates or corrects it."""

from pathlib import Path
from typing import Any

import pytest

from bff.admin.okta import event_stream
from bff.admin.okta.event_stream import OKTA_EVENTS, EventStreamView
from tests.harness.okta_org import Json, empty_org
from tests.unit.admin.okta.test_app_properties import desired
from tests.unit.admin.okta.test_client_credentials import SCOPES, as_service_app, service_app

URL = "https://app.example.com/auth/security-events"
HEADER = "Bearer canary-delivery-0123456789"
EVENTS_ON = {"security_events": "push", "security_events_authorization": HEADER}


def stream(**changes: Any) -> Json:
    delivery = {"method": event_stream.PUSH, "endpoint_url": URL}
    return {"stream_id": "esc1", "aud": URL, "delivery": delivery, "events_requested": list(OKTA_EVENTS), **changes}


@pytest.mark.parametrize(
    ("view", "changes", "names"),
    [
        (None, {}, []),
        (EventStreamView(None), {}, ["event_stream"]),
        (EventStreamView(stream()), {}, []),
        (EventStreamView(stream(aud=[URL, "https://other.example"])), {}, []),
        (EventStreamView(stream(aud="https://other.example")), {}, ["event_stream_audience"]),
        (EventStreamView(stream(aud="a")), {"security_events_audience": "a b"}, []),
        (EventStreamView(stream(delivery={"endpoint_url": "https://old.example"})), {}, ["event_stream_url"]),
        (EventStreamView(stream(events_requested=OKTA_EVENTS[:1])), {}, ["event_stream_events"]),
        (
            EventStreamView(stream(events_requested=OKTA_EVENTS[:1])),
            {"security_events_actions": "credential-change=record"},
            [],
        ),
    ],
)
def test_what_differs_is_named(view: EventStreamView | None, changes: dict[str, str], names: list[str]) -> None:
    findings = event_stream.compare(view, desired(**EVENTS_ON, **changes))
    assert [difference.name for difference in findings.differences] == names
    assert all(difference.fix for difference in findings.differences)
    assert HEADER not in repr(findings)


def test_an_api_token_leaves_a_note() -> None:
    findings = event_stream.compare(EventStreamView(None, readable=False), desired(**EVENTS_ON))
    assert (findings.differences, "ssf.manage" in findings.notes[0]) == ((), True)


@pytest.mark.parametrize(
    ("changes", "receives"),
    [
        ({}, False),
        (EVENTS_ON, True),
        ({"security_events": "poll"}, False),
        ({**EVENTS_ON, "security_events_transmitter": "https://t.example"}, False),
    ],
)
def test_the_org_pushes_only_where_the_settings_say_so(changes: dict[str, str], receives: bool) -> None:
    assert desired(issuer="https://example.okta.com/oauth2/default", **changes).receives_events is receives


async def test_apply_creates_the_stream_and_corrects_it(tmp_path: Path, key_file: Path) -> None:
    scopes = SCOPES | {"ssf.manage", "ssf.read"}
    async with empty_org(tmp_path, service_apps=(service_app(key_file, granted_scopes=scopes),)) as operator:
        as_service_app(operator, key_file)
        operator.environ |= {f"BFF_{name.upper()}": value for name, value in EVENTS_ON.items()}
        assert "event_stream" in (await operator.bff_okta("plan", "--json")).differences
        applied = await operator.bff_okta("apply", "--json")
        assert (applied.code, "event_stream" in applied.json["changed"]) == (0, True)
        assert HEADER not in applied.stdout + applied.stderr
        (made,) = operator.okta.control.security_events.streams.values()
        assert (made.endpoint_url, made.authorization_header) == (URL, HEADER)
        assert (await operator.bff_okta("plan")).code == 0
        shown = (await operator.bff_okta("show", "--json")).json["event_stream"]
        assert (shown["url"], shown["aud"]) == (URL, [URL])
        made.endpoint_url, made.authorization_header = "https://old.example/events", None
        assert (await operator.bff_okta("apply")).code == 0
        assert (made.endpoint_url, made.authorization_header) == (URL, HEADER)


async def test_a_missing_scope_is_named(tmp_path: Path, key_file: Path) -> None:
    async with empty_org(tmp_path, service_apps=(service_app(key_file),)) as operator:
        as_service_app(operator, key_file)
        operator.environ |= {"BFF_SECURITY_EVENTS": "push"}
        refused = await operator.bff_okta("plan")
        assert refused.code == 1
        assert "ssf.manage" in refused.stdout + refused.stderr
