"""A BFF inside of another application: who answers what, the lifespan, errors, and what is refused with a reason."""

import json
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from prometheus_client import REGISTRY as DEFAULT_REGISTRY
from starlette.types import ASGIApp, Receive, Scope, Send

import bff as package
from bff.config.settings import load_settings
from bff.errors import BffError, ConfigurationError, UpstreamTimeout
from bff.fastapi.dependencies import current_user
from bff.fastapi.installation import Bff, create_app
from bff.fastapi.user import User
from tests.harness.asgi_call import call
from tests.harness.hosted import Hosted, host_settings, hosted
from tests.harness.settings import RIGHT, with_changes
from tests.harness.web_parts import FETCH

Me = Annotated[User, Depends(current_user)]


def an_app(**options: Any) -> FastAPI:
    app = FastAPI(**options)

    @app.get("/me")
    async def me(user: Me) -> dict[str, str | None]:
        return {"sub": user.sub, "email": user.email}

    return app


async def test_the_bff_answers_its_paths_and_the_host_all_others(tmp_path: Path) -> None:
    async with hosted(an_app(), host_settings(tmp_path)) as parts:
        browser = await parts.signed_in()
        assert (await browser.session())["authenticated"] is True
        mine = await browser.fetch("GET", "/me")
        assert (mine.status, json.loads(mine.body)) == (200, {"sub": "00u1", "email": "ann@example.com"})
        assert mine.one("cache-control") == "no-store"
        unknown = await browser.fetch("GET", "/unknown")
        assert (unknown.status, json.loads(unknown.body)) == (404, {"detail": "Not Found"})
        assert (await browser.fetch("GET", "/auth/unknown")).problem == (404, "route_not_found")
        assert (await browser.fetch("GET", "/a%2Fb")).problem == (400, "invalid_request"), "guarded as the rest"
        documented = json.loads((await browser.fetch("GET", "/openapi.json")).body)
        assert list(documented["paths"]) == ["/me"]


@pytest.mark.parametrize("exempt", ["/webhooks", ["/"], [""], ["webhooks"], ["//"]])
def test_paths_that_would_exempt_everything_or_nothing_from_csrf_are_refused(exempt: Any) -> None:
    app = an_app()
    with pytest.raises(ConfigurationError, match="csrf_exempt"):
        Bff().install(app, csrf_exempt=exempt)
    Bff().install(app, csrf_exempt=["/webhooks"])


async def test_the_bff_starts_before_the_host_and_ends_after_it(tmp_path: Path) -> None:
    seen: list[object] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, int]]:
        seen.append((await call(app, "GET", "/auth/session", *FETCH)).status)
        yield {"number": 7}
        seen.append((await call(app, "GET", "/auth/session", *FETCH)).status)

    app = an_app(lifespan=lifespan)
    bff = Bff(host_settings(tmp_path))
    bff.install(app)
    parts = Hosted(app, bff, host_settings(tmp_path))
    for _ in range(2):  # it may start again
        async with app.router.lifespan_context(app) as state:
            assert state == {"number": 7}
            assert (await (await parts.signed_in()).fetch("GET", "/me")).status == 200
        with pytest.raises(ConfigurationError, match="its lifespan did not run"):
            await call(app, "GET", "/me")
    assert seen == [200, 200, 200, 200]


async def test_an_error_of_the_hosts_start_stays_what_it_is(tmp_path: Path) -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        raise LookupError("of the host")
        yield

    with pytest.raises(LookupError, match="of the host"):
        async with hosted(an_app(lifespan=lifespan), host_settings(tmp_path)):
            pass


async def test_no_middleware_of_the_host_sees_what_the_bff_answers(tmp_path: Path) -> None:
    seen: list[str] = []

    class Recording:
        def __init__(self, app: ASGIApp) -> None:
            self._app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope["path"])
            await self._app(scope, receive, send)

    app = an_app()
    app.add_middleware(Recording)
    async with hosted(app, host_settings(tmp_path)) as parts:
        browser = await parts.signed_in()
        await browser.fetch("GET", "/me")
    assert seen == ["/me"]


async def test_errors_of_ours_are_problem_json_and_the_hosts_handlers_stay_its_own(tmp_path: Path) -> None:
    app = an_app()

    @app.exception_handler(HTTPException)
    async def teapot(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"host": error.detail}, 418)

    @app.get("/slow")
    async def slow() -> None:
        raise UpstreamTimeout(retry_after=7)

    @app.get("/mine")
    async def mine() -> None:
        raise HTTPException(400, "mine")

    async with hosted(app, host_settings(tmp_path)) as parts:
        browser = parts.browser()
        timeout = await browser.fetch("GET", "/slow")
        assert (timeout.problem, timeout.one("retry-after")) == ((504, "upstream_timeout"), "7")
        assert (await browser.fetch("GET", "/me")).problem == (401, "sign_in_required")
        assert (await browser.fetch("GET", "/mine")).body == b'{"host":"mine"}'
        page = await browser.navigate("/me?tab=1")
        assert page.status == 401
        assert b"/auth/login?return_to=/me%3Ftab%3D1" in page.body


async def test_a_handler_of_the_host_for_our_errors_is_kept(tmp_path: Path) -> None:
    app = an_app()

    @app.exception_handler(BffError)
    async def handle(request: Request, error: BffError) -> JSONResponse:
        return JSONResponse({"code": error.code}, 499)

    async with hosted(app, host_settings(tmp_path)) as parts:
        response = await parts.browser().fetch("GET", "/me")
    assert (response.status, response.body) == (499, b'{"code":"sign_in_required"}')


async def test_paths_without_a_route_of_the_host_are_the_single_page_app(tmp_path: Path) -> None:
    (tmp_path / "spa").mkdir()
    (tmp_path / "spa" / "index.html").write_text("<title>SPA-INDEX</title>")
    async with hosted(an_app(), host_settings(tmp_path, spa_dir=str(tmp_path / "spa"))) as parts:
        browser = parts.browser()
        assert b"SPA-INDEX" in (await browser.navigate("/orders/7")).body
        assert (await browser.fetch("GET", "/missing.js")).problem == (404, "route_not_found")
        assert (await browser.fetch("GET", "/me")).problem == (401, "sign_in_required")


async def test_without_a_host_it_is_an_asgi_application(tmp_path: Path) -> None:
    app = create_app(host_settings(tmp_path))
    parts = Hosted(app, app, host_settings(tmp_path))  # type: ignore[arg-type]
    assert await lifespan_messages(app, parts) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def lifespan_messages(app: Bff, parts: Hosted) -> list[str]:
    sent: list[str] = []

    async def receive() -> Any:
        if sent:
            assert (await (await parts.signed_in()).session())["authenticated"] is True
        return {}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan"}, receive, send)
    return sent


async def test_mounted_at_the_root_it_works_with_its_lifespan(tmp_path: Path) -> None:
    inner = create_app(host_settings(tmp_path))
    outer = an_app(lifespan=inner.lifespan)
    outer.mount("/", inner)
    parts = Hosted(outer, inner, host_settings(tmp_path))
    async with outer.router.lifespan_context(outer):
        browser = await parts.signed_in()
        assert (await browser.session())["authenticated"] is True
        with pytest.raises(ConfigurationError, match="is not installed in the application"):
            await browser.fetch("GET", "/me")


async def test_below_a_path_it_is_refused_with_a_reason(tmp_path: Path) -> None:
    app, outer = an_app(), FastAPI()
    bff = Bff(host_settings(tmp_path))
    bff.install(app)
    Hosted(app, bff, host_settings(tmp_path))
    outer.mount("/shop", app)
    with pytest.raises(ConfigurationError, match="no lifespan runs for a mounted application"):
        await call(outer, "GET", "/shop/me")
    async with app.router.lifespan_context(app):
        with pytest.raises(ConfigurationError, match="needs a whole origin"):
            await call(outer, "GET", "/shop/me")


async def test_one_bff_is_installed_once_and_before_the_start(tmp_path: Path) -> None:
    app = an_app()
    async with hosted(app, host_settings(tmp_path)) as parts:
        with pytest.raises(ConfigurationError, match="was called before"):
            Bff().install(app)
        with pytest.raises(ConfigurationError, match="was called before"):
            parts.bff.install(FastAPI())
        with pytest.raises(ConfigurationError, match="runs already"):
            async with parts.bff.lifespan():
                pass
    started = an_app()
    await call(started, "GET", "/openapi.json")
    with pytest.raises(ConfigurationError, match="was called after the start"):
        Bff().install(started)


async def test_two_applications_in_one_process_have_a_bff_each(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    async with (
        hosted(an_app(), host_settings(tmp_path)) as one,
        hosted(an_app(), host_settings(tmp_path / "other", user_claims="sub name")) as other,
    ):
        browsers = [await parts.signed_in() for parts in (one, other)]
        users = [json.loads((await browser.fetch("GET", "/me")).body) for browser in browsers]
        assert [user["email"] for user in users] == ["ann@example.com", None]
        browsers[0].cookies, browsers[1].cookies = browsers[1].cookies, browsers[0].cookies
        assert [(await browser.fetch("GET", "/me")).status for browser in browsers] == [401, 401]


def test_without_settings_they_are_read_from_the_environment_and_reloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in with_changes(store=f"sqlite:///{tmp_path / 'bff.db'}").items():
        monkeypatch.setenv(name, value)
    reading, given = Bff().prepare(), Bff(load_settings()).prepare()
    assert reading.runtime.settings.browser.public_url == RIGHT["BFF_PUBLIC_URL"]
    assert ["watch the secret files" in app.lifespan.background for app in (reading, given)] == [True, False]
    monkeypatch.delenv("BFF_ISSUER")
    with pytest.raises(ConfigurationError, match="BFF_ISSUER"):
        Bff().prepare()


async def test_the_process_belongs_to_the_host(tmp_path: Path) -> None:
    def configuration() -> list[object]:
        named = [logging.getLogger(name) for name in ("", "bff", "bff.audit", "httpx", "uvicorn", "uvicorn.access")]
        loggers = [(logger.level, list(logger.handlers), list(logger.filters)) for logger in named]
        return [*loggers, [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]]

    before = configuration()
    async with hosted(an_app(), host_settings(tmp_path)) as parts:
        await parts.signed_in()
        assert configuration() == before
    assert configuration() == before


async def test_our_metrics_are_in_the_registry_of_the_process(tmp_path: Path) -> None:
    for _ in range(2):
        async with hosted(an_app(), host_settings(tmp_path)):
            pass
    assert DEFAULT_REGISTRY.get_sample_value("bff_info", {"version": package.__version__}) == 1


def test_every_public_name_can_be_imported() -> None:
    stub = Path(package.__file__).with_suffix(".pyi").read_text("utf-8")
    names = {line.rpartition(" as ")[2] for line in stub.splitlines() if " as " in line}
    assert names == set(package._PUBLIC)
    assert all(getattr(package, name).__name__ == name for name in names)
    assert names <= set(dir(package))
    with pytest.raises(AttributeError, match="has no attribute"):
        package.unknown  # noqa: B018
