"""`bff serve --app`: the application by name, and its BFF with the settings and the ports of the server."""

import os
import sys
from pathlib import Path

import pytest

from bff.components.ports import Ports
from bff.config.reload import Sources
from bff.config.settings import load_settings
from bff.errors import ConfigurationError
from bff.fastapi.served import served_host
from tests.harness.asgi_call import call
from tests.harness.settings import with_changes
from tests.harness.web_parts import FETCH

MODULE = """
from fastapi import FastAPI
from bff import Bff, create_app, load_settings

app = FastAPI()
Bff().install(app)
alone = create_app(load_settings())
other = FastAPI()
Bff(load_settings({**%r, "BFF_DRAIN_DELAY": "9"})).install(other)
plain = FastAPI()
"""


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sources:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("shop_of_the_tests", "broken_shop"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    environ = with_changes(store=f"sqlite:///{tmp_path / 'bff.db'}")
    (tmp_path / "shop_of_the_tests.py").write_text(MODULE % environ)
    (tmp_path / "broken_shop.py").write_text("import a_module_that_is_missing\n")
    return Sources(environ)


@pytest.mark.parametrize("variable", ["app", "alone"])
async def test_the_server_gets_the_application_with_its_bff(sources: Sources, variable: str) -> None:
    settings = load_settings(sources.environ)
    served = served_host(f"shop_of_the_tests:{variable}", settings, sources, Ports())
    assert served.public_url == settings.browser.public_url
    assert (await call(served.management, "GET", "/livez")).status == 200
    host = served._host
    lifespan = host.router.lifespan_context(host) if variable == "app" else host.lifespan()  # type: ignore[attr-defined]
    async with lifespan:
        assert (await call(served, "GET", "/auth/session", *FETCH)).status == 200
        assert (await served.report()).checks["serving"] is True
        await served.check_ended([])
        served.reload()
        served.begin_to_stop()
        served.end_streams()
        assert (await served.report()).checks["serving"] is False
        assert (await call(served, "GET", "/auth/session", *FETCH)).one("connection") == "close"
        if variable == "app":
            assert (await call(served, "GET", "/unknown")).one("connection") == "close", "of the host, too"


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("shop_of_the_tests", "is not a module and a variable"),
        (":app", "is not a module and a variable"),
        ("no_shop:app", "there is no module no_shop"),
        ("no_shop.inner:app", "there is no module no_shop"),
        ("shop_of_the_tests:missing", "has no variable missing"),
        ("shop_of_the_tests:plain", "has no Bff"),
        ("shop_of_the_tests:FastAPI", "has no Bff"),
        ("shop_of_the_tests:other", "has other addresses"),
    ],
)
def test_another_target_is_refused_with_a_reason(sources: Sources, target: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        served_host(target, load_settings(sources.environ), sources, Ports())


def test_a_module_that_needs_a_missing_one_says_which(sources: Sources) -> None:
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_missing"):
        served_host("broken_shop:app", load_settings(sources.environ), sources, Ports())
