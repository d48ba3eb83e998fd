"""The OpenAPI document is that of the routes, and real answers are as it says."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from bff.admin import openapi, openapi_schemas
from bff.admin.openapi_schemas import AnonymousSession, EndedSessions, OwnSessions, SignedInSession, SignOutResult
from bff.config.browser import ENDPOINTS
from bff.errors import (
    BffError,
    CsrfRequired,
    ForbiddenByRule,
    ProviderUnavailable,
    RefreshRefused,
    SignInRequired,
    StepUpRequired,
    StoreUnavailable,
    TooManyStreams,
)
from bff.web.health import openapi_document
from bff.web.problem_details import render_problem
from tests.harness.event_stream import EventStream
from tests.harness.places import ROOT
from tests.harness.web_parts import Browser, WebParts, web_parts

DOCUMENT = ROOT / "docs" / "openapi.json"


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from (value for name, value in part.items() if name == "$ref")
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def test_the_document_is_that_of_the_routes(tmp_path: Path) -> None:
    openapi.main(tmp_path / "openapi.json")
    assert (tmp_path / "openapi.json").read_text("utf-8") == DOCUMENT.read_text("utf-8"), "run `make openapi`"
    assert openapi_document() == DOCUMENT.read_bytes()


def test_every_endpoint_and_every_reference_exists() -> None:
    document = json.loads(DOCUMENT.read_text("utf-8"))
    assert set(document["paths"]) == {*ENDPOINTS, "/authorization-code/callback"}
    for reference in references(document):
        found: Any = document
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]
        assert found
    identifiers = [each["operationId"] for methods in document["paths"].values() for each in methods.values()]
    assert len(set(identifiers)) == len(identifiers)


async def test_the_answers_are_as_described(tmp_path: Path) -> None:
    async with web_parts(tmp_path) as parts:
        browser = parts.browser()
        await browser.sign_in()
        await compare(browser, parts)


async def compare(signed_in: Browser, parts: WebParts) -> None:
    async def answer(model: type[BaseModel], method: str, path: str, **more: Any) -> None:
        response = await signed_in.fetch(method, path, **more)
        assert response.status == 200
        model.model_validate_json(response.body)

    await answer(SignedInSession, "GET", "/auth/session")
    await answer(SignedInSession, "POST", "/auth/session/extend")
    await answer(OwnSessions, "GET", "/auth/sessions")
    await answer(EndedSessions, "POST", "/auth/sessions/end", body={"others": True})
    stream = await EventStream(parts.public, signed_in.cookies).opened()
    await signed_in.sign_in()
    [session] = await parts.sessions()
    await parts.flows.sessions.streams.check([session.key], parts.flows.sessions.end_session.end)
    await answer(SignOutResult, "POST", "/auth/logout", body={"local": False})
    await stream.task
    models = {name: getattr(openapi_schemas, schema) for name, schema in openapi.EVENTS.items()}
    for name, data in stream.events:
        models[name].model_validate_json(json.dumps(data))
    assert [name for name, _ in stream.events] == ["signed_in", "ended"]
    await answer(AnonymousSession, "GET", "/auth/session")


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (SignInRequired(), "SignInRequiredProblem"),
        (SignInRequired(reason="idle_timeout"), "SignInRequiredProblem"),
        (StepUpRequired(acr_values=("gold",), max_age=5, sign_in_url="/auth/login?"), "StepUpRequiredProblem"),
        (StepUpRequired(), "StepUpRequiredProblem"),
        (ForbiddenByRule(("staff",)), "ForbiddenByRuleProblem"),
        (ForbiddenByRule(("staff",), max_age=5, sign_in_url="/auth/login?"), "ForbiddenByRuleProblem"),
        (CsrfRequired("why"), "CsrfRequiredProblem"),
        (TooManyStreams(retry_after=30), "TooManyStreamsProblem"),
        (StoreUnavailable(retry_after=2), "UnavailableProblem"),
        (ProviderUnavailable(), "UnavailableProblem"),
        (RefreshRefused(retry_after=2), "UnavailableProblem"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_problems_are_as_described(error: BffError, name: str) -> None:
    body = render_problem(error, correlation_id="c-1").body
    TypeAdapter(getattr(openapi_schemas, name)).validate_json(body)
    described = json.loads(DOCUMENT.read_text("utf-8"))["components"]["schemas"]
    assert error.code in described["ErrorCode"]["enum"]
