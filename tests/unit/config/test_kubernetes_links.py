"""Kubernetes' variables for Services called bff or bff-x are ignored; what only resembles them stays an error."""

import pytest

from bff.config.kubernetes_links import is_service_link, linked_services
from bff.config.section import leaves
from bff.config.settings import SECRETS, Settings, load_settings
from tests.harness.settings import RIGHT, problems


def links(
    service: str, address: str = "10.96.0.7", *, port: int = 8080, name: str = "", protocol: str = "tcp"
) -> dict[str, str]:
    """The variables as Kubernetes makes them (pkg/kubelet/envvars)."""
    prefix = service.upper().replace("-", "_")
    url = f"{protocol}://[{address}]:{port}" if ":" in address else f"{protocol}://{address}:{port}"
    form = f"{prefix}_PORT_{port}_{protocol.upper()}"
    return {
        f"{prefix}_SERVICE_HOST": address,
        f"{prefix}_SERVICE_PORT": str(port),
        **({f"{prefix}_SERVICE_PORT_{name.upper().replace('-', '_')}": str(port)} if name else {}),
        f"{prefix}_PORT": url,
        form: url,
        f"{form}_PROTO": protocol,
        f"{form}_PORT": str(port),
        f"{form}_ADDR": address,
    }


KUBERNETES = {
    "bff": links("bff"),
    "a named port": links("bff", name="forward-auth"),
    "IPv6": links("bff-redis", "fd00:10:96::7", port=6379),
    "UDP": links("bff-dns", port=53, protocol="udp"),
    "SCTP": links("bff-x", protocol="sctp"),
    "a Service called bff-service": links("bff-service", name="http"),
    "a Service called bff-port-1": links("bff-port-1", name="tcp"),
    "a Service called bff-okta": links("bff-okta"),
    "a Service called bff--x": links("bff--x"),
    "two Services": links("bff") | links("bff-canary", name="metrics"),
}


@pytest.mark.parametrize("variables", KUBERNETES.values(), ids=KUBERNETES)
def test_service_links_change_nothing(variables: dict[str, str]) -> None:
    assert load_settings({**RIGHT, **variables}) == load_settings(RIGHT)
    assert all(is_service_link(name, value) for name, value in variables.items())


def test_the_services_are_named() -> None:
    assert linked_services({**RIGHT, **links("bff-redis"), **links("bff", name="web"), **links("other")}) == (
        "bff",
        "bff-redis",
    )
    assert linked_services(RIGHT) == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BFF_PORT", "8080"),  # meant as a setting
        ("BFF_LISTEN_PORT", "8080"),
        ("BFF_SERVICE_HOST", "app.example.com"),
        ("BFF_SERVICE_HOST", "0.0.0.0:8080"),
        ("BFF_SERVICE_PORT", "http"),
        ("BFF_SERVICE_PORT", "0"),
        ("BFF_SERVICE_PORT", "65536"),
        ("BFF_SERVICE_PORT", "9" * 5000),
        ("BFF_SERVICE_PORT", "٨٠٨٠"),
        ("BFF_SERVICE_PORT_", "8080"),
        ("BFF_SERVICES_HOST", "10.0.0.1"),
        ("BFF_PORT", "http://10.0.0.1:8080"),
        ("BFF_PORT", "tcp://redis:6379"),
        ("BFF_PORT", "tcp://10.0.0.1:8080/"),
        ("BFF_PORT", "tcp://10.0.0.1:8080\n"),
        ("BFF_PORT_8080_TCP_HOST", "10.0.0.1"),
        ("BFF_PORT_8080_HTTP", "tcp://10.0.0.1:8080"),
        ("BFF_PORT_HTTP_TCP", "tcp://10.0.0.1:8080"),
        ("BFF_PORT_8080_TCP_PROTO", "http"),
        ("bff_port", "tcp://10.0.0.1:8080"),
        ("Bff_Service_Host", "10.0.0.1"),
    ],
)
def test_what_only_resembles_a_link_is_still_an_unknown_setting(name: str, value: str) -> None:
    assert list(problems({**RIGHT, **links("bff"), name: value})) == [name]


def test_no_setting_has_the_name_of_a_link() -> None:
    values = {value for variables in KUBERNETES.values() for value in variables.values()}
    for name in (*leaves(Settings), *(f"{secret}_file" for secret in SECRETS)):
        assert not any(is_service_link(f"BFF_{name.upper()}", value) for value in values), name
