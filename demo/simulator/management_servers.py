"""Groups, Trusted Origins, and the custom authorization server with its access policies."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from demo.simulator import management_errors as errors
from demo.simulator.app_integrations import new_id, timestamp
from demo.simulator.management_request import Json, body_of, page
from demo.simulator.management_state import Policy
from demo.simulator.org import Org

ORIGIN_SCOPES = frozenset({"CORS", "REDIRECT", "IFRAME_EMBED"})


async def list_groups(org: Org, request: Request) -> Response:
    q = request.query_params.get("q", "").casefold()
    members = [group for group in org.management.groups.values() if group["profile"]["name"].casefold().startswith(q)]
    return page(org, request, members, default=200, most=10_000)


async def trusted_origins(org: Org, request: Request) -> Response:
    if request.method == "GET":
        return page(org, request, list(org.management.origins.values()), default=20, most=200)
    body = await body_of(request)
    origin = _origin(org, body)
    origin |= {"id": new_id("tos"), "status": "ACTIVE", "created": timestamp(org.now())}
    org.management.origins[origin["id"]] = origin
    return JSONResponse(origin)


async def one_origin(org: Org, request: Request) -> Response:
    held = _held_origin(org, request)
    match request.method:
        case "PUT":
            held |= _origin(org, await body_of(request), held["id"])
        case "DELETE":
            del org.management.origins[held["id"]]
            return Response(status_code=204)
        case _:
            pass
    return JSONResponse(held)


async def origin_lifecycle(org: Org, request: Request) -> Response:
    held = _held_origin(org, request)
    held["status"] = "ACTIVE" if request.path_params["action"] == "activate" else "INACTIVE"
    return JSONResponse(held)


def _held_origin(org: Org, request: Request) -> Json:
    held = org.management.origins.get(request.path_params["origin_id"])
    if held is None:
        raise errors.not_found("TrustedOrigin")
    return held


def _origin(org: Org, body: Json, own_id: str | None = None) -> Json:
    """Raises ApiRefused."""
    origin, scopes = body.get("origin"), body.get("scopes")
    if not isinstance(origin, str) or origin.count("/") != 2 or "*" in origin or len(origin) > 255:
        raise errors.invalid("origin", "origin: Must be a URL without a path")
    if not scopes or not {scope.get("type") for scope in scopes} <= ORIGIN_SCOPES:
        raise errors.invalid("scopes", "scopes: unknown")
    for other in org.management.origins.values():
        if other["id"] != own_id and (other["origin"] == origin or other["name"] == body.get("name")):
            raise errors.invalid(
                "origin", "origin: An object with this field already exists in the current organization"
            )
    return {"name": body.get("name") or origin, "origin": origin, "scopes": scopes}


def _server(org: Org, request: Request) -> Json:
    if request.path_params["server_id"] != "default":
        raise errors.not_found("AuthorizationServer")
    return {"issuer": f"{org.base_url}/oauth2/default", **org.management.server}


def _policies(org: Org) -> dict[str, Policy]:
    if not org.policy_exists:
        return org.management.policies
    default = org.management.default_policy()
    return {default.body["id"]: default, **org.management.policies}


async def one_server(org: Org, request: Request) -> Response:
    return JSONResponse(_server(org, request))


async def policies(org: Org, request: Request) -> Response:
    _server(org, request)
    if request.method == "GET":
        return JSONResponse([policy.body for policy in _policies(org).values()])
    body = await body_of(request)
    if body.get("type") != "OAUTH_AUTHORIZATION_POLICY" or not 1 <= len(str(body.get("name", ""))) <= 100:
        raise errors.invalid("policy", "type and name are required")
    if any(policy.body["name"] == body["name"] for policy in _policies(org).values()):
        raise errors.invalid("name", "name: A policy of this name exists")
    included = body.get("conditions", {}).get("clients", {}).get("include")
    known = {"ALL_CLIENTS", *(app.client.client_id for app in org.apps)}
    if not included or not set(included) <= known:
        raise errors.invalid("conditions", "conditions.clients.include: ALL_CLIENTS, or clients of this org")
    made = Policy({"status": "ACTIVE", "system": False, **body, "id": new_id("00p")})
    org.management.policies[made.body["id"]] = made
    return JSONResponse(made.body, 201)


async def rules(org: Org, request: Request) -> Response:
    _server(org, request)
    policy = _policies(org).get(request.path_params["policy_id"])
    if policy is None:
        raise errors.not_found("Policy")
    if request.method == "GET":
        return JSONResponse(policy.rules)
    body = await body_of(request)
    conditions = body.get("conditions", {})
    if body.get("type") != "RESOURCE_ACCESS" or not body.get("name"):
        raise errors.invalid("rule", "type and name are required")
    if any(rule["name"] == body["name"] for rule in policy.rules):
        raise errors.invalid("name", "name: A rule of this name exists")
    for name, members in (("grantTypes", conditions.get("grantTypes")), ("scopes", conditions.get("scopes"))):
        if not (members or {}).get("include"):
            raise errors.invalid("conditions", f"conditions.{name}.include is required")
    lifetimes = body.get("actions", {}).get("token", {})
    if not 5 <= lifetimes.get("accessTokenLifetimeMinutes", 60) <= 1440:
        raise errors.invalid("actions", "accessTokenLifetimeMinutes: 5 minutes to a day")
    made = {"status": "ACTIVE", "system": False, **body, "id": new_id("0pr")}
    policy.rules.append(made)
    return JSONResponse(made, 201)
