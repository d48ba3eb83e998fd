import pytest
from fastapi import FastAPI
from shop import app

pytest_plugins = ["bff.testing"]


@pytest.fixture
def host_app() -> FastAPI:
    return app
