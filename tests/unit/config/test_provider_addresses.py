"""The setting that names other addresses for hosts of the provider."""

import pytest

from bff.config.provider_addresses import HostAndPort, ProviderAddress
from bff.config.settings import load_settings
from tests.harness.settings import RIGHT, problems, with_changes

NAME = "BFF_PROVIDER_ADDRESSES"
LOCAL = {"issuer": "http://localhost:8080/realms/demo", "provider_addresses": "localhost:8080=keycloak:8080"}


def test_entries_name_a_host_and_an_address_each_with_an_optional_port() -> None:
    entries = "id.example.com=10.0.0.7, localhost:8080=keycloak:8443 [::1]:80=[2001:db8::1]"
    settings = load_settings(with_changes(provider_addresses=entries))
    assert settings.provider.transport.address_map == (
        ProviderAddress(HostAndPort("id.example.com", None), HostAndPort("10.0.0.7", None)),
        ProviderAddress(HostAndPort("localhost", 8080), HostAndPort("keycloak", 8443)),
        ProviderAddress(HostAndPort("::1", 80), HostAndPort("2001:db8::1", None)),
    )
    assert load_settings(RIGHT).provider.transport.address_map == ()


@pytest.mark.parametrize(
    "entries",
    [
        *(
            "id.example.com",
            "=10.0.0.7",
            "id.example.com=",
            "ID.example.com=10.0.0.7",
            "https://id.example.com=10.0.0.7",
        ),
        *("id.example.com=10.0.0.7:0", "id.example.com=10.0.0.7:99999", "a=b=c", "a=u:p@b", "2001:db8::1=b", "a=b/c"),
        "a=b a=c",
    ],
)
def test_anything_else_is_refused(entries: str) -> None:
    (name,) = problems(with_changes(provider_addresses=entries))
    assert name.startswith(NAME)


def test_a_proxy_connects_by_itself() -> None:
    both = with_changes(provider_addresses="a=b", provider_proxy="http://proxy.example:3128")
    assert list(problems(both)) == [NAME]


def test_an_http_issuer_leaves_this_machine_only_in_development() -> None:
    assert list(problems(with_changes(**LOCAL))) == [NAME]
    load_settings(with_changes(**LOCAL, public_url="http://localhost:8000"))
    load_settings(with_changes(**{**LOCAL, "provider_addresses": "localhost:8080=127.0.0.1:9080"}))
    load_settings(with_changes(provider_addresses="example.okta.com=10.0.0.7"))
    plain = {"provider_addresses": "localhost=10.0.0.7", "provider_userinfo_endpoint": "http://localhost/userinfo"}
    assert list(problems(with_changes(**plain))) == [NAME]
    events = {"security_events": "poll", "security_events_transmitter": "http://localhost:9000"}
    assert list(problems(with_changes(**events, provider_addresses="localhost:9000=events:9000"))) == [NAME]
    load_settings(with_changes(**events, provider_addresses="localhost:9000=127.0.0.1:9001"))
