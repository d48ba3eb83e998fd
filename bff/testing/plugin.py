"""The fixtures of the pytest plugin. Override `host_app` in your conftest.py; everything else has a default."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from bff.components.ports import Ports
from bff.config.settings import Settings
from bff.testing.client import BffClient, installed_bff
from bff.testing.provider import FakeProvider
from bff.testing.running_app import RunningApp
from bff.testing.settings import fake_settings
from bff.testing.upstreams import FakeUpstreams


@pytest.fixture
def host_app() -> FastAPI:
    """The application under test."""
    raise pytest.UsageError("Define a fixture host_app in your conftest.py that returns your FastAPI application.")


@pytest.fixture
def fake_provider() -> FakeProvider:
    """The provider that signs users in."""
    return FakeProvider()


@pytest.fixture
def fake_upstreams(fake_provider: FakeProvider) -> FakeUpstreams:
    """The upstreams of all routes."""
    return FakeUpstreams(fake_provider)


@pytest.fixture
def upstream_listener() -> Iterator[socket.socket]:
    """Where the fake upstreams listen: a free port of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener


@pytest.fixture
def host_settings(tmp_path: Path, upstream_listener: socket.socket) -> Settings:
    """Those of bff.toml, with a fake provider, fake upstreams and a store of their own."""
    return fake_settings(tmp_path, f"http://127.0.0.1:{upstream_listener.getsockname()[1]}")


@pytest.fixture
def host_client(
    host_app: FastAPI,
    fake_provider: FakeProvider,
    fake_upstreams: FakeUpstreams,
    host_settings: Settings,
    upstream_listener: socket.socket,
) -> Iterator[BffClient]:
    """A browser without a session; the application runs as long as the test."""
    installed_bff(host_app).replace(host_settings, Ports(provider=fake_provider), fake_provider.now)
    with (
        RunningApp(host_app, fake_upstreams, upstream_listener) as running,
        BffClient(host_app, running, fake_provider) as client,
    ):
        yield client


@pytest.fixture
def signed_in_client(host_client: BffClient) -> BffClient:
    """The same browser, with a user signed in."""
    host_client.sign_in()
    return host_client
