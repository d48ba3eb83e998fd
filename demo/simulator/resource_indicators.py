"""Resource indicators (RFC 8707) at custom authorization servers.

As Okta describes it: several `resource` parameters in the authorization request, then one of them in each token
request, whose access token has that one as its audience. Without `resource` the audience is the server's own; Okta does
not document that case.
"""

from collections.abc import Mapping

from demo.simulator import okta_errors
from demo.simulator.okta_errors import OktaError, RequestRefused
from demo.simulator.org import AuthorizationServer

MAX_RESOURCES = 20  # in an authorization request; Okta does not document its limit


def of_form(form: Mapping[str, str]) -> tuple[str, ...]:
    """The values of `resource`, which may be repeated: `forms` joins them with spaces."""
    return tuple(form.get("resource", "").split())


def problem(server: AuthorizationServer, resources: tuple[str, ...], most: int = MAX_RESOURCES) -> OktaError | None:
    """Why the server does not accept these resources."""
    known = server.custom.resources if server.custom is not None else ()
    if not set(resources) <= set(known):
        return okta_errors.UNSUPPORTED_RESOURCE
    return okta_errors.TOO_MANY_RESOURCES if len(resources) > most else None


def audience(server: AuthorizationServer, granted: frozenset[str], form: Mapping[str, str]) -> str:
    """The audience that a token request asks for, "" for the server's own. `granted` are those of the authorization
    request. Raises RequestRefused.
    """
    resources = of_form(form)
    if (wrong := problem(server, resources, most=1)) is not None:
        raise RequestRefused(wrong)
    if not set(resources) <= granted:
        raise RequestRefused(okta_errors.MISMATCHED_RESOURCE)
    return resources[0] if resources else ""
