"""What the environment says about the demo."""

from dataclasses import replace

import pytest

from demo.__main__ import bff_environment, development_hint
from demo.ports import Ports

PORTS = Ports(bff=8080, okta=8081, control=8082, api=8083, other_client=8084)


def test_the_page_has_the_address_of_the_bff_or_of_a_development_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("demo")
    monkeypatch.delenv("DEMO_PUBLIC_URL", raising=False)
    assert bff_environment(PORTS, "token", "Bearer x", folder)["BFF_PUBLIC_URL"] == "http://localhost:8080"
    monkeypatch.setenv("DEMO_PUBLIC_URL", "http://localhost:5173")
    environ = bff_environment(PORTS, "token", "Bearer x", folder)
    assert environ["BFF_PUBLIC_URL"] == "http://localhost:5173"
    assert environ["BFF_LISTEN"] == "127.0.0.1:8080"


def test_a_development_server_learns_of_a_bff_at_another_port(monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(PORTS, bff=8084)
    monkeypatch.delenv("DEMO_PUBLIC_URL", raising=False)
    assert development_hint(other) == ""
    monkeypatch.setenv("DEMO_PUBLIC_URL", "http://localhost:5173")
    assert development_hint(PORTS) == ""
    assert "BFF_URL=http://127.0.0.1:8084" in development_hint(other)
