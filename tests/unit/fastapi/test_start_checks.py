"""What could never work in a host application refuses to start."""

from pathlib import Path

import pytest
from fastapi import APIRouter, Depends, FastAPI

from bff.errors import ConfigurationError
from bff.fastapi.api_client import api_client
from bff.fastapi.dependencies import require
from bff.fastapi.enclosing import enclose
from bff.fastapi.installation import Bff
from bff.fastapi.start_checks import check_host
from tests.harness.asgi_call import Reached, call
from tests.harness.hosted import host_settings


async def nothing() -> None: ...


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/auth/mine", "is a path of the BFF"),
        ("/authorization-code/callback", "is a path of the BFF"),
        ("/api", "below the prefix /api"),
        ("/api/{item}", "below the prefix /api"),
        ("/apix", None),
        ("/{path:path}", None),
        ("/.well-known/jwks.json", None),  # there are no keys to publish
    ],
)
def test_a_route_that_no_request_could_reach_is_refused(tmp_path: Path, path: str, problem: str | None) -> None:
    direct, included, router = FastAPI(), FastAPI(), APIRouter()
    direct.add_api_route(path, nothing)
    router.add_api_route(path, nothing)
    included.include_router(router)
    for app in (direct, included):
        if problem is None:
            check_host(app, host_settings(tmp_path))
        else:
            with pytest.raises(ConfigurationError, match=problem):
                check_host(app, host_settings(tmp_path))


@pytest.mark.parametrize(
    ("dependency", "problem"),
    [
        (api_client("orders"), "no route whose prefix ends in /orders"),
        (api_client("/orders"), "no route whose prefix ends in /orders"),
        (api_client("api"), None),
        (api_client("/api"), None),
        (require("department", any_of=["finance"]), "do not include department"),
        (require("email", any_of=["ann@example.com"]), None),
    ],
)
def test_a_dependency_that_could_never_be_met_is_refused(
    tmp_path: Path, dependency: object, problem: str | None
) -> None:
    async def outer(inner: object = Depends(dependency)) -> None: ...  # type: ignore[arg-type]

    app = FastAPI()
    app.add_api_route("/x", nothing, dependencies=[Depends(outer)])
    if problem is None:
        check_host(app, host_settings(tmp_path))
    else:
        with pytest.raises(ConfigurationError, match=problem):
            check_host(app, host_settings(tmp_path))


def test_two_prefixes_with_one_end_need_the_whole_prefix(tmp_path: Path) -> None:
    routes = '[{"prefix": "/a/orders", "upstream": "https://a"}, {"prefix": "/b/orders", "upstream": "https://b"}]'
    settings = host_settings(tmp_path, routes=routes)
    with pytest.raises(ConfigurationError, match="several routes whose prefix ends in /orders"):
        api_client("orders").check(settings)
    assert api_client("/b/orders").route(settings).upstream == "https://b"


def test_an_application_below_a_path_is_refused(tmp_path: Path) -> None:
    inner, outer, below = FastAPI(), FastAPI(), FastAPI()
    below.root_path = "/shop"
    Bff().install(inner)
    outer.mount("/inner", inner)
    with pytest.raises(ConfigurationError, match="the application mounted at /inner"):
        check_host(outer, host_settings(tmp_path))
    with pytest.raises(ConfigurationError, match="needs a whole origin"):
        check_host(below, host_settings(tmp_path))


async def test_an_enclosed_application_stays_what_it_is_to_everything_else() -> None:
    class Mine(FastAPI):
        pass

    app, outer = Mine(), Reached()
    before = enclose(app, outer)
    assert (isinstance(app, Mine), type(app).__name__) == (True, "Mine")
    assert (await call(app, "GET", "/openapi.json")).body == b"reached"
    assert b'"openapi"' in (await call(before, "GET", "/openapi.json")).body
    assert type(Mine()) is Mine, "other applications of the class are not enclosed"
