"""All errors that a caller can receive, as one tree; each leaf has a stable code and a title that is safe to show.

`detail` is our own text, never copied from a provider, an upstream or a client. Nothing here is about HTTP:
`bff.web.error_status` maps each code to a status, and `bff.web.error_responder` turns an error into a response.
"""

from typing import ClassVar, Literal


class BffError(Exception):
    """The root of all errors that a caller can receive."""

    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something went wrong on our side"

    def __init__(self, detail: str | None = None, *, retry_after: int | None = None) -> None:
        """`detail` is safe to show; `retry_after` is in seconds and becomes the `Retry-After` header."""
        super().__init__(detail or self.title)
        self.detail = detail
        self.retry_after = retry_after


# --- request errors ---


class InvalidRequest(BffError):
    code = "invalid_request"
    title = "The request is malformed"


class SignInRequired(BffError):
    """No live session. `reason` is why the last one ended, from the closed list `bff.session.session.EndReason`."""

    code = "sign_in_required"
    title = "Sign-in is required"

    def __init__(self, detail: str | None = None, *, reason: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason


class StepUpRequired(BffError):
    """An API requires a stronger or more recent authentication (RFC 9470).

    `max_age` is in seconds. `sign_in_url` lacks only its last value: the caller appends the percent-encoded return
    path.
    """

    code = "step_up_required"
    title = "The API requires a stronger or more recent sign-in"

    def __init__(
        self,
        detail: str | None = None,
        *,
        acr_values: tuple[str, ...] = (),
        max_age: int | None = None,
        sign_in_url: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.acr_values, self.max_age, self.sign_in_url = acr_values, max_age, sign_in_url


class InsufficientScope(BffError):
    code = "insufficient_scope"
    title = "The access token lacks a scope that this route requires"


class ForbiddenByRule(BffError):
    """None of the access rules of a route holds for the session. `rules` has their names, and nothing of the user.

    With `acr_values` or `max_age` (seconds), a sign-in of that kind could make one hold; `sign_in_url` as in
    StepUpRequired.
    """

    code = "forbidden_by_rule"
    title = "An access rule does not allow this request"

    def __init__(
        self,
        rules: tuple[str, ...] = (),
        *,
        acr_values: tuple[str, ...] = (),
        max_age: int | None = None,
        sign_in_url: str | None = None,
    ) -> None:
        super().__init__(f"The request is not allowed by: {', '.join(rules)}." if rules else None)
        self.rules, self.acr_values, self.max_age, self.sign_in_url = rules, acr_values, max_age, sign_in_url


class DeviceBindingRequired(BffError):
    """The route is for requests that prove that they come from the session's device. `remedy`: what the page can do."""

    code = "device_binding_required"
    title = "The session has to be bound to this device"

    def __init__(
        self, remedy: Literal["register", "retry", "sign_in"] = "sign_in", *, retry_after: int | None = None
    ) -> None:
        super().__init__(retry_after=retry_after)
        self.remedy = remedy


class DeviceBindingRefused(BffError):
    code = "device_binding_refused"
    title = "The proof of the device's key is not accepted"


class DeviceBindingPending(BffError):
    """The browser could not renew the bound cookie. The session continues."""

    code = "device_binding_pending"
    title = "The browser could not prove yet that the session belongs to this device"


class RevocationRefused(BffError):
    """The bearer token of a Universal Logout request is invalid. `detail` contains no text of the token."""

    code = "revocation_refused"
    title = "The sign-out request is not authorized"


class DeliveryRefused(BffError):
    """The `Authorization` header of a delivery of security events is not the one that was agreed."""

    code = "delivery_refused"
    title = "The delivery is not authorized"


class CsrfRequired(BffError):
    code = "csrf_required"
    title = "The request was not proven to come from this application"


class NavigationRequired(BffError):
    code = "navigation_required"
    title = "Sign-in requires a navigation, not a fetch or a prefetch"


class RouteNotFound(BffError):
    code = "route_not_found"
    title = "Not found"


class UserUnknown(BffError):
    code = "user_unknown"
    title = "No session of that user exists here"


class MethodNotAllowed(BffError):
    code = "method_not_allowed"
    title = "This method is not allowed here"

    def __init__(self, detail: str | None = None, *, allow: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.allow = allow


class LengthRequired(BffError):
    code = "length_required"
    title = "A Content-Length is required here"


class RequestTooLarge(BffError):
    code = "request_too_large"
    title = "The request is too large"


class TargetTooLong(BffError):
    code = "target_too_long"
    title = "The request target is too long"


class UnsupportedMediaType(BffError):
    code = "unsupported_media_type"
    title = "This content type is not accepted here"


class SignOutImpossible(BffError):
    code = "sign_out_impossible"
    title = "The request identifies users in a way that is not supported here"


class HeadersTooLarge(BffError):
    code = "headers_too_large"
    title = "The request headers are too large"


# --- sign-in errors ---


class SignInStateInvalid(BffError):
    code = "sign_in_state_invalid"
    title = "This sign-in was not started in this browser"


class SignInExpired(BffError):
    code = "sign_in_expired"
    title = "This sign-in took too long"


class SignInRefused(BffError):
    code = "sign_in_refused"
    title = "The identity provider refused the sign-in"


class NotAssigned(BffError):
    code = "not_assigned"
    title = "You have no access to this application"


class SignInLoop(BffError):
    """This browser was redirected to sign-in repeatedly in a short time: another redirect would go on with it."""

    code = "sign_in_loop"
    title = "Sign-in is looping"


class RateLimited(BffError):
    """Too many sign-in or sign-out requests.

    `retry_after` is when the next one is allowed; sessions are not affected.
    """

    code = "rate_limited"
    title = "Too many sign-in or sign-out requests"


class TooManyStreams(BffError):
    """The session has as many streams of session events as the settings allow."""

    code = "too_many_streams"
    title = "This session has too many open streams of session events"


class SignInFailed(BffError):
    """The provider's response failed validation: an operator has to fix it; the detail is only logged."""

    code = "sign_in_failed"
    title = "The sign-in could not be completed"


# --- errors of dependencies ---


class ProviderUnavailable(BffError):
    code = "provider_unavailable"
    title = "The identity provider is temporarily unavailable"


class RefreshRefused(ProviderUnavailable):
    """The provider refuses to refresh this session's tokens, without saying that the refresh token is invalid.

    The session continues, and refreshes are retried; a new sign-in would help at once.
    """


class StoreUnavailable(BffError):
    """`unreachable`: no server of the store gave a reply. False where it replied with an error."""

    code = "store_unavailable"
    title = "The session store is temporarily unavailable"

    def __init__(self, detail: str | None = None, *, retry_after: int | None = None, unreachable: bool = False) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.unreachable = unreachable


class UpstreamUnreachable(BffError):
    code = "upstream_unreachable"
    title = "The API could not be reached"


class UpstreamTimeout(BffError):
    code = "upstream_timeout"
    title = "The API did not answer in time"


class RetryRequired(BffError):
    """A reverse proxy asked for the refusal to show, and the request would be allowed now.

    It has not been carried out.
    """

    code = "retry_required"
    title = "The request was held back and would be allowed now"


# --- configuration ---


class ConfigurationError(BffError):
    """The process refuses to start; names the setting, the problem and the fix."""

    code = "configuration_error"
    title = "The configuration is wrong"

    def __init__(self, setting: str, problem: str, fix: str) -> None:
        super().__init__(f"{setting}: {problem} {fix}")
        self.setting, self.problem, self.fix = setting, problem, fix
