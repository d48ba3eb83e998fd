"""How a route is described in the OpenAPI document (docs/openapi.json, written by `make openapi`).

Names only: the schemas themselves are in `bff.admin.openapi_schemas`, which `bff serve` does not load.
"""

from collections.abc import Sequence
from typing import Any, Final

from starlette.responses import Response

from bff.errors import BffError
from bff.web.error_status import STATUS

# The errors that have members of their own, by code; every other one is a `Problem`.
_PROBLEMS: Final = {
    "sign_in_required": "SignInRequiredProblem",
    "step_up_required": "StepUpRequiredProblem",
    "forbidden_by_rule": "ForbiddenByRuleProblem",
    "csrf_required": "CsrfRequiredProblem",
    "device_binding_required": "DeviceBindingRequiredProblem",
    "too_many_streams": "TooManyStreamsProblem",
    "provider_unavailable": "UnavailableProblem",
    "store_unavailable": "UnavailableProblem",
}
_SESSION: Final[list[dict[str, list[str]]]] = [{"session": []}]
CSRF_HEADER: Final = {
    "name": "X-CSRF",
    "in": "header",
    "required": True,
    "description": "Proves that a page of this application sent the request.",
    "schema": {"type": "string", "const": "1"},
}


def schema(*names: str) -> dict[str, Any]:
    """A reference to one schema, or to one of several."""
    references = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    return references[0] if len(references) == 1 else {"oneOf": references}


def query(name: str, description: str, **of: Any) -> dict[str, Any]:
    """A query parameter; `of` is its schema."""
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": {"type": "string", **of},
    }


def operation(
    summary: str,
    *,
    returns: Sequence[str] = (),
    status: int = 200,
    media_type: str = "application/json",
    body: dict[str, Any] | None = None,
    parameters: Sequence[dict[str, Any]] = (),
    errors: Sequence[type[BffError]] = (),
    with_session: bool = False,
) -> dict[str, Any]:
    """An operation object. `returns`: names of schemas; `body`: the content of a request by its media type."""
    content = {media_type: {"schema": schema(*returns)}} if returns else {}
    if not returns and media_type != "application/json":
        content = {media_type: {"schema": {"type": "string"}}}
    responses: dict[str, Any] = {str(status): {"description": summary, **({"content": content} if content else {})}}
    responses |= _problems(errors)
    described: dict[str, Any] = {"summary": summary, "responses": responses}
    if parameters:
        described["parameters"] = list(parameters)
    if body is not None:
        described["requestBody"] = {"required": False, "content": body}
    if with_session:
        described["security"] = _SESSION
    return described


def _problems(errors: Sequence[type[BffError]]) -> dict[str, Any]:
    """The error responses, by status."""
    by_status: dict[int, list[str]] = {}
    for error in errors:
        by_status.setdefault(STATUS[error.code], []).append(error.code)
    return {
        str(status): {
            "description": ", ".join(f"`{code}`" for code in codes),
            "headers": {"X-BFF-Forwarded": {"$ref": "#/components/headers/Forwarded"}},
            "content": {
                "application/problem+json": {
                    "schema": schema(*dict.fromkeys(_PROBLEMS.get(code, "Problem") for code in codes))
                }
            },
        }
        for status, codes in by_status.items()
    }


def described(summary: str, **of: Any) -> dict[str, Any]:
    """The same as arguments of a FastAPI route."""
    whole = operation(summary, **of)
    responses = whole.pop("responses")
    return {
        "summary": whole.pop("summary"),
        "status_code": int(next(iter(responses))),
        "responses": {int(status): response for status, response in responses.items()},
        "response_class": Response,
        "openapi_extra": whole,
    }
