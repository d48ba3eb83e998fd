"""The provider refuses an access token for an API: an error of that route alone."""

from bff.errors import BffError


class ApiTokenRefused(BffError):
    """The provider issues no access token for the API of this route. The session and other routes are unaffected."""

    code = "api_token_refused"
    title = "The identity provider issues no access token for this API"


class ApiTokenDenied(ApiTokenRefused):
    """It says that this user may not have one."""

    code = "api_token_denied"
    title = "The identity provider denies you an access token for this API"
