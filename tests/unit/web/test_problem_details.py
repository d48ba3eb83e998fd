"""Errors as problem JSON: one code and one status each, the headers that clients act on, and no session ended."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from bff.errors import (
    BffError,
    ConfigurationError,
    MethodNotAllowed,
    RefreshRefused,
    SignInRequired,
    StepUpRequired,
    StoreUnavailable,
)
from bff.web.error_status import STATUS, status_of
from bff.web.problem_details import render_problem


def every_error(root: type[BffError] = BffError) -> Iterator[type[BffError]]:
    yield root
    for leaf in root.__subclasses__():
        # A subclass without a code of its own is a finer word for us, the same one for the caller.
        yield from (error for error in every_error(leaf) if "code" in vars(error))


SENT = [error for error in every_error() if error.code != "configuration_error"]


def test_codes_are_unique_and_each_has_a_status() -> None:
    codes = [error.code for error in SENT]
    assert len(codes) == len(set(codes))
    assert set(STATUS) == set(codes)
    assert all(error.title for error in SENT)
    assert status_of(ConfigurationError("BFF_X", "is wrong.", "Fix it.")) == 500


@pytest.mark.parametrize(
    ("error", "members", "headers"),
    [
        (StoreUnavailable(retry_after=3), {"retry_after": 3}, {b"retry-after": b"3"}),
        (MethodNotAllowed(allow=("GET", "HEAD")), {}, {b"allow": b"GET, HEAD"}),
        (
            SignInRequired("The session has ended.", reason="idle_timeout"),
            {"detail": "The session has ended.", "reason": "idle_timeout"},
            {b"www-authenticate": b'Cookie realm="session"'},
        ),
        (RefreshRefused(), {"sign_in_url": "/auth/login?return_to="}, {}),
        (
            StepUpRequired(acr_values=("gold",), max_age=0, sign_in_url="/auth/login"),
            {"acr_values": ["gold"], "max_age": 0, "sign_in_url": "/auth/login"},
            {b"www-authenticate": b'Cookie realm="session"'},
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_problem_says_what_a_program_acts_on(
    error: BffError, members: dict[str, Any], headers: dict[bytes, bytes]
) -> None:
    status, sent, body = render_problem(error, correlation_id="c-1")
    problem = json.loads(body)
    problem.pop("detail", None) if "detail" not in members else None
    assert problem == {
        "type": f"urn:okta-bff:problem:{error.code}",
        "title": error.title,
        "status": status_of(error),
        "code": error.code,
        "correlation_id": "c-1",
        **members,
    }
    assert status == status_of(error)
    assert dict(sent) == {
        b"content-type": b"application/problem+json",
        b"content-length": str(len(body)).encode(),
        b"cache-control": b"no-store",
        b"x-content-type-options": b"nosniff",
        b"cross-origin-resource-policy": b"same-origin",
        **headers,
    }
