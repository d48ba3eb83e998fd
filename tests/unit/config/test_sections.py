"""Sections of the settings, each of which can be built without the others."""

from pathlib import Path

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from bff.config.field_types import Scopes, Seconds, WholeSeconds
from bff.config.refresh import RefreshSettings
from bff.config.route_headers import IdentityHeader
from bff.config.server import ForwardAuthSettings, ServerSettings
from bff.config.session import SessionSettings
from bff.config.session_policy import SessionPolicy
from bff.config.sign_in import SignInSettings
from bff.config.telemetry import TelemetrySettings, is_installed
from tests.harness.settings import KEY


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (ServerSettings, {"listen": "127.0.0.1:9090"}),  # the management port has it
        (ServerSettings, {"drain_delay": 301}),
        (ForwardAuthSettings, {"headers": "X-A=sub x-a=email"}),
        (SignInSettings, {"allowed_prompts": "login maybe"}),
        (SignInSettings, {"login_lifetime": 59}),
        (TelemetrySettings, {"audit_subject": "email"}),
    ],
)
def test_an_invalid_section_is_not_built(section: type[BaseModel], values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        section(**values)


def test_addresses_and_identity_headers() -> None:
    server = ServerSettings(listen="unix:/run/bff.sock", management_listen="off", trusted_proxies="10.0.0.0/8")
    assert (server.listen_address, server.management_address) == (Path("/run/bff.sock"), None)
    assert server.trusted_proxies == ("10.0.0.0/8",)
    forward_auth = ForwardAuthSettings(headers="X-User-Sub=sub X-Mail=email")
    assert (forward_auth.address, forward_auth.identity) == (None, (("X-User-Sub", "sub"), ("X-Mail", "email")))
    for invalid in ("no-claim", "Authorization=sub", "x y=sub", "=sub"):
        with pytest.raises(ValidationError):
            TypeAdapter(IdentityHeader).validate_python(invalid)


def test_lists_of_words_and_durations() -> None:
    assert SignInSettings(allowed_idps="a b a").allowed_idps == ("a", "b")
    assert SignInSettings(response_mode="form_post").by_form_post
    assert TypeAdapter(Scopes).validate_python("openid, email") == ("openid", "email")
    for kind, invalid in ((Seconds, "nan"), (Seconds, "0"), (WholeSeconds, "1.5"), (WholeSeconds, True)):
        with pytest.raises(ValidationError):
            TypeAdapter(kind).validate_python(invalid)


def test_the_policy_of_sessions_reads_both_sections() -> None:
    session = SessionSettings(session_keys=KEY, idle_timeout=60, absolute_timeout=120)
    policy = SessionPolicy(RefreshSettings(timeout=4, lease=5, grace=45), session)
    assert (policy.timeout, policy.lease, policy.grace, policy.after_grace) == (4, 5, 45, True)
    assert (policy.idle_timeout, policy.max_session_lifetime) == (60, session.max_lifetime)


def test_a_missing_module_is_not_installed() -> None:
    assert is_installed("bff.config.telemetry")
    assert not is_installed("no_such_package.module")
