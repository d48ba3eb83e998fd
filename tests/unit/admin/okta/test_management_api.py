"""The client of the Management API: refusals, rate limits, pages."""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from bff.admin.okta.api_error import OktaManagementError, refusal
from bff.admin.okta.management_api import ApiToken, ManagementApi, http_client, rate_limit_wait
from tests.harness.okta_org import API_TOKEN, Json, Operator


@contextmanager
def api_of(operator: Operator, **more: Any) -> Iterator[ManagementApi]:
    with http_client() as http:
        yield ManagementApi(operator.okta.base_url, ApiToken(API_TOKEN), http, **more)


def all_pages(api: ManagementApi, path: str, **query: str) -> Awaitable[list[Json]]:
    return asyncio.to_thread(lambda: list(api.pages(path, **query)))


# --- refusals


async def test_a_refusal_is_printed_with_its_fix(operator: Operator) -> None:
    operator.okta.control.management.token_expired = True
    done = await operator.bff_okta("apply")
    assert (done.code, done.stdout) == (1, "")
    assert "30 days without use" in done.stderr
    as_json = await operator.bff_okta("apply", "--json")
    assert as_json.code == 1
    assert "rejects the credentials" in as_json.json["error"]["problem"]


@pytest.mark.parametrize(
    ("status", "code", "words", "fix"),
    [
        (400, "E0000001", "redirect_uris: required", "setting"),
        (400, "E0000003", "cannot parse", "report"),
        (401, "E0000004", "rejects the credentials", "BFF_OKTA_API_TOKEN_FILE"),
        (401, "E0000011", "rejects the credentials", "30 days"),
        (403, "E0000006", "lack permission", "application administrator"),
        (404, "E0000007", "no such object", "BFF_OKTA_ORG_URL"),
        (500, "E0000009", "internal error", "again"),
        (503, "E0000010", "maintenance", "later"),
        (401, "E0000015", "no licence", "API Access Management"),
        (405, "E0000022", "does not support this operation", "BFF_OKTA_ORG_URL"),
        (403, "E0000038", "current state", "Admin Console"),
        (429, "E0000047", "rate limit", "minute"),
        (418, "", "not from Okta's Management API", "BFF_OKTA_ORG_URL"),
        (401, "", "rejects the credentials", "30 days"),
        (403, "", "lack permission", "administrator"),
        (429, "", "rate limit", "minute"),
        (502, "", "internal error", "again"),
    ],
)
def test_every_refusal_has_a_reason_and_a_fix(status: int, code: str, words: str, fix: str) -> None:
    body = {"errorCode": code, "errorSummary": "x", "errorCauses": [{"errorSummary": "redirect_uris: required"}]}
    error = refusal("GET /api/v1/apps", status, {}, body if code else None, service_app=False)
    assert words in error.problem
    assert "GET /api/v1/apps" in error.problem
    assert fix in error.fix


def test_a_cause_cannot_act_on_the_terminal_or_contain_a_secret() -> None:
    cause = "client_secret=abcdefghijklmnop \x1b[31m\u202e" + "x" * 1000
    error = refusal(
        "POST /x", 400, {}, {"errorCode": "E0000001", "errorCauses": [{"errorSummary": cause}]}, service_app=False
    )
    assert "abcdefghijklmnop" not in error.problem
    assert error.problem.isprintable()
    assert len(error.problem) < 500


@pytest.mark.parametrize("body", [{"errorCauses": "no list"}, {"errorCauses": [7]}, {}])
def test_a_validation_error_without_readable_causes(body: dict[str, Any]) -> None:
    error = refusal("POST /x", 400, {}, {"errorCode": "E0000001", **body}, service_app=False)
    assert "no cause given" in error.problem


async def test_an_org_that_does_not_answer_as_okta_is_an_error(operator: Operator) -> None:
    operator.okta.control.fault("html", endpoint="apps")
    done = await operator.bff_okta("plan")
    assert done.code == 1
    assert "not from Okta's Management API" in done.stderr
    assert "BFF_OKTA_ORG_URL" in done.stderr
    await operator.okta.control.down()
    done = await operator.bff_okta("plan")
    assert done.code == 1
    assert "cannot be reached" in done.stderr


# --- rate limits


async def test_a_rate_limit_is_waited_for_until_okta_says_it_ends(operator: Operator) -> None:
    state = operator.okta.control.management
    waited: list[float] = []
    logged: list[str] = []
    state.rate_limit = 2

    def advance(seconds: float) -> None:
        waited.append(seconds)
        operator.okta.control.advance(seconds)

    with api_of(operator, sleep=advance, log=logged.append) as api:
        for _ in range(3):
            await all_pages(api, "/api/v1/groups")
    assert len(waited) == 1
    assert 1 <= waited[0] <= 120  # a minute, and what the `Date` of a busy server is late
    assert "rate limit" in logged[0]


@pytest.mark.parametrize(("reset_in", "waits"), [(3, 2), (3600, 0)])
async def test_a_rate_limit_is_waited_for_twice_at_most_and_no_hour(
    operator: Operator, reset_in: int, waits: int
) -> None:
    waited: list[float] = []
    operator.okta.control.fault("rate_limited", endpoint="apps", times=20, reset_in=reset_in)
    with api_of(operator, sleep=waited.append) as api, pytest.raises(OktaManagementError) as refused:
        await all_pages(api, "/api/v1/apps")
    assert refused.value.okta_code == "E0000047"
    assert len(waited) == waits


@pytest.mark.parametrize(
    ("headers", "now", "wait"),
    [
        # our clock is wrong
        ({"x-rate-limit-reset": "1000010", "date": "Mon, 12 Jan 1970 13:46:40 GMT"}, 5_000_000, 11),
        ({"x-rate-limit-reset": "1000010"}, 1_000_000, 11),
        ({"x-rate-limit-reset": "1000010", "date": "garbage"}, 1_000_000, 11),
        ({"x-rate-limit-reset": "999000"}, 1_000_000, 1),
        ({"x-rate-limit-reset": "soon"}, 1_000_000, 5),
        ({}, 1_000_000, 5),
    ],
)
def test_the_wait_is_measured_on_oktas_clock(headers: dict[str, str], now: float, wait: float) -> None:
    assert rate_limit_wait(headers, now) == wait


# --- pages


async def test_every_page_is_read(operator: Operator) -> None:
    state = operator.okta.control.management
    names = [f"Team {number:02}" for number in range(25)]
    for name in names:
        state.add_group(name, 0)
    state.largest_page = 4
    with api_of(operator) as api:
        found = await all_pages(api, "/api/v1/groups", q="Team")
    assert sorted(group["profile"]["name"] for group in found) == names
    assert len([path for _, path, _ in state.requests if "/groups" in path]) == 7


def answering(pages: list[httpx.Response], seen: list[httpx.Request]) -> httpx.Client:
    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return pages.pop(0)

    return httpx.Client(transport=httpx.MockTransport(answer))


def test_a_next_link_to_another_host_does_not_get_the_token() -> None:
    seen: list[httpx.Request] = []
    links = [("link", '<https://x.okta.com/api/v1/apps?limit=2>; rel="self"')]
    links += [("link", '<https://evil.example.com/api/v1/apps?after=1&limit=2>; rel="next"')]
    http = answering([httpx.Response(200, json=[{"id": "1"}], headers=links), httpx.Response(200, json=[])], seen)
    assert list(ManagementApi("https://x.okta.com", ApiToken("t" * 20), http).pages("/api/v1/apps")) == [{"id": "1"}]
    assert [str(request.url) for request in seen] == [
        "https://x.okta.com/api/v1/apps?limit=200",
        "https://x.okta.com/api/v1/apps?after=1&limit=2",
    ]


def test_an_endless_list_is_an_error() -> None:
    seen: list[httpx.Request] = []
    more = {"link": '<https://x.okta.com/api/v1/apps?after=1>; rel="next"'}
    http = answering([httpx.Response(200, json=[{"id": "1"}], headers=more) for _ in range(500)], seen)
    with pytest.raises(OktaManagementError, match="does not end"):
        list(ManagementApi("https://x.okta.com", ApiToken("t" * 20), http).pages("/api/v1/apps"))
    assert len(seen) <= 202


def test_a_redirect_is_not_followed() -> None:
    seen: list[httpx.Request] = []
    http = answering([httpx.Response(302, headers={"location": "https://evil.example.com/"})], seen)
    with pytest.raises(OktaManagementError, match="not from Okta"):
        ManagementApi("https://x.okta.com", ApiToken("t" * 20), http).get("/api/v1/apps/1")
    assert len(seen) == 1
