"""The schemas of the OpenAPI document: what the session endpoints, their events and our errors consist of.

For documentation: the endpoints do not use them, and a test validates real responses against them. A default marks a
member that may be missing; the document does not show it.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from bff.session.session import EndReason

Seconds: TypeAlias = Annotated[int, Field(description="Seconds since the epoch, on the clock of the session store.")]
# Listed once (`bff.web.error_status`); pydantic would look for a class behind a reference.
ErrorCode: TypeAlias = Annotated[str, WithJsonSchema({"x-reference": "#/components/schemas/ErrorCode"})]
SignInUrl: TypeAlias = Annotated[
    str, Field(description="Lacks only its last value: append the percent-encoded return path.")
]


class _Exact(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SessionTimes(_Exact):
    signed_in_at: Seconds
    idle_ends_at: Seconds
    ends_at: Seconds
    now: Seconds


class User(BaseModel):
    """The claims of BFF_USER_CLAIMS that the provider sent."""

    model_config = ConfigDict(extra="allow", strict=True)

    sub: str
    name: str = ""
    given_name: str = ""
    family_name: str = ""
    preferred_username: str = ""
    email: str = ""
    picture: str = ""
    locale: str = ""
    zoneinfo: str = ""
    groups: list[str] = []


class SignedInSession(_Exact):
    authenticated: Literal[True]
    user: User
    session: SessionTimes
    device_bound: Annotated[bool, Field(description="The request proved that it comes from the session's device.")]


class AnonymousSession(_Exact):
    """`reason` is why the last session of this browser ended, for a minute from the first time it is shown."""

    authenticated: Literal[False]
    reason: Annotated[EndReason, Field(strict=False)] | None


class OwnSession(_Exact):
    """`client` and `address` are coarse: "Firefox on Windows", "203.0.113.0/24"."""

    id: str
    current: bool
    signed_in_at: Seconds
    last_seen_at: Seconds
    ends_at: Seconds
    device_bound: bool
    client: str | None
    address: str | None


class OwnSessions(_Exact):
    sessions: list[OwnSession]


class EndOneSession(_Exact):
    id: str


class EndOtherSessions(_Exact):
    others: Literal[True]


class EndedSessions(_Exact):
    ended: int


class BoundCredential(_Exact):
    type: Literal["cookie"]
    name: str
    attributes: str


class SessionScope(_Exact):
    include_site: Literal[False]


class SessionInstructions(_Exact):
    """W3C Device Bound Session Credentials, for the browser itself."""

    session_identifier: str
    refresh_url: str
    scope: SessionScope
    credentials: list[BoundCredential]


class SignOutRequest(_Exact):
    """`local`: keep the session at the provider."""

    local: bool = False


class SignOutResult(_Exact):
    """Navigate to `end_session_url` to sign out at the provider too. It works once, for a minute, in this browser."""

    end_session_url: str | None


class SessionEndedEvent(_Exact):
    reason: Annotated[EndReason, Field(strict=False)] | None


class SessionExpiringEvent(_Exact):
    at: Seconds
    now: Seconds
    reason: Literal["idle_timeout", "absolute_timeout"]


class SessionRenewedEvent(_Exact):
    at: Seconds
    now: Seconds


class SignedInEvent(_Exact):
    """Read /auth/session."""


class SignInMessage(_Exact):
    """What /auth/popup and error pages in a popup send to the BroadcastChannel `bff-sign-in`."""

    type: Literal["sign_in"]
    id: str | None
    outcome: Literal["finished", "failed"]
    code: ErrorCode | None


class Problem(BaseModel):
    """RFC 9457. Branch on `code`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: Annotated[str, Field(pattern=r"^urn:okta-bff:problem:[a-z_]+$")]
    title: str
    status: int
    code: ErrorCode
    correlation_id: str
    detail: str = ""
    retry_after: Annotated[int, Field(description="Seconds.")] = 0


class SignInRequiredProblem(Problem):
    code: Literal["sign_in_required"]
    reason: Annotated[EndReason, Field(strict=False)] = EndReason.SIGNED_OUT


class StepUpRequiredProblem(Problem):
    code: Literal["step_up_required"]
    acr_values: list[str]
    max_age: int | None
    sign_in_url: SignInUrl | None


class ForbiddenByRuleProblem(Problem):
    code: Literal["forbidden_by_rule"]
    rules: list[str]
    acr_values: list[str] = []
    max_age: int | None = None
    sign_in_url: SignInUrl = ""


class CsrfRequiredProblem(Problem):
    code: Literal["csrf_required"]


class DeviceBindingRequiredProblem(Problem):
    """What the page can do: fetch /auth/session, so that the browser registers a key; try later; sign in again."""

    code: Literal["device_binding_required"]
    remedy: Literal["register", "retry", "sign_in"]


class TooManyStreamsProblem(Problem):
    code: Literal["too_many_streams"]


class UnavailableProblem(Problem):
    """The session stays: retry. With `sign_in_url` the provider refuses to refresh it: offer a sign-in as well."""

    code: Literal["store_unavailable", "provider_unavailable"]
    sign_in_url: SignInUrl = ""


MODELS: tuple[type[BaseModel], ...] = (
    *(SignedInSession, AnonymousSession, OwnSessions, EndOneSession, EndOtherSessions, EndedSessions),
    *(SessionInstructions, SignOutRequest, SignOutResult),
    *(SessionEndedEvent, SessionExpiringEvent, SessionRenewedEvent, SignedInEvent, SignInMessage),
    *(Problem, SignInRequiredProblem, StepUpRequiredProblem, ForbiddenByRuleProblem, CsrfRequiredProblem),
    *(DeviceBindingRequiredProblem, TooManyStreamsProblem, UnavailableProblem),
)


def cleaned(schema: Any) -> Any:
    """Drops what says nothing about the wire, `default` and generated titles, and completes the references.

    Objects are open in the document: a client must ignore members of a newer version.
    """
    if isinstance(schema, dict):
        if "x-reference" in schema:
            return {"$ref": schema["x-reference"]}
        return {
            name: cleaned(value)
            for name, value in schema.items()
            if name not in ("default", "additionalProperties") and not (name == "title" and isinstance(value, str))
        }
    return [cleaned(part) for part in schema] if isinstance(schema, list) else schema
