"""The OpenAPI document of the BFF's own endpoints: `python -m bff.admin.openapi FILE` writes it (`make openapi`).

Made from the routes that FastAPI serves. The two that are plain ASGI in front of it are described here.
"""

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from bff.admin.openapi_schemas import MODELS, cleaned
from bff.app import build_app
from bff.base64url import encode_base64url
from bff.config.browser import SESSION_EVENTS, VERIFY
from bff.config.settings import load_settings
from bff.errors import (
    CsrfRequired,
    ForbiddenByRule,
    InvalidRequest,
    ProviderUnavailable,
    SignInRequired,
    StepUpRequired,
    StoreUnavailable,
    TooManyStreams,
)
from bff.session.keyring import new_key
from bff.web.error_status import STATUS
from bff.web.route_description import operation

CONTRACT: Final = "1"  # the version of the contract
EVENTS: Final = {
    "ended": "SessionEndedEvent",
    "expiring": "SessionExpiringEvent",
    "renewed": "SessionRenewedEvent",
    "signed_in": "SignedInEvent",
}
# With these every endpoint exists; nothing is contacted.
_SETTINGS: Final = {
    "BFF_ISSUER": "https://placeholder.invalid",
    "BFF_CLIENT_ID": "placeholder",
    "BFF_CLIENT_SECRET": "no-secret-is-needed",
    "BFF_PUBLIC_URL": "https://placeholder.invalid",
    "BFF_SECURITY_EVENTS": "push",
}


def document(endpoints: FastAPI) -> dict[str, Any]:
    """The document of these endpoints."""
    whole: dict[str, Any] = get_openapi(
        title="okta-bff",
        version=CONTRACT,
        description="The endpoints of the BFF, and the problems (RFC 9457) that every path can answer with.",
        routes=endpoints.routes,
    )
    whole["paths"] |= {
        SESSION_EVENTS: {"get": _session_events()},
        VERIFY: {"get": _verify()},
    }
    whole["paths"] = dict(sorted(whole["paths"].items()))
    for path, methods in whole["paths"].items():
        for method, described in methods.items():
            described["operationId"] = re.sub(r"\W+", "_", method + path)
    whole["components"] = _components()
    return whole


def _session_events() -> dict[str, Any]:
    described = operation(
        "Server-sent events about the session",
        media_type="text/event-stream",
        errors=(InvalidRequest, SignInRequired, CsrfRequired, TooManyStreams, StoreUnavailable),
        with_session=True,
    )
    events = {name: {"$ref": f"#/components/schemas/{schema}"} for name, schema in EVENTS.items()}
    return {**described, "x-events": events}


def _verify() -> dict[str, Any]:
    return operation(
        "Forward authentication for a reverse proxy",
        errors=(
            *(InvalidRequest, SignInRequired, StepUpRequired, CsrfRequired, ForbiddenByRule),
            *(ProviderUnavailable, StoreUnavailable),
        ),
        with_session=True,
    )


def _components() -> dict[str, Any]:
    _, definitions = models_json_schema(
        [(model, "validation") for model in MODELS], ref_template="#/components/schemas/{model}"
    )
    schemas = {**definitions["$defs"], "ErrorCode": {"type": "string", "enum": sorted(STATUS)}}
    return {
        "schemas": cleaned(dict(sorted(schemas.items()))),
        "headers": {
            "Forwarded": {
                "description": "Whether the request may have reached an upstream. Only after `no` may it be repeated.",
                "required": True,
                "schema": {"type": "string", "enum": ["no", "maybe"]},
            }
        },
        "securitySchemes": {"session": {"type": "apiKey", "in": "cookie", "name": "__Host-Http-session"}},
    }


def text(whole: dict[str, Any]) -> str:
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        own = {"BFF_STORE": f"sqlite:///{folder}/bff.db", "BFF_SESSION_KEYS": encode_base64url(new_key())}
        settings = load_settings({**_SETTINGS, **own})
        target.write_text(text(document(build_app(settings).endpoints)), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
