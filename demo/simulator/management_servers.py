"""Groups, Trusted Origins, and custom authorization servers: their access policies, scopes and trusted servers."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from demo.simulator import management_errors as errors
from demo.simulator.app_integrations import new_id, timestamp
from demo.simulator.custom_servers import CustomServer, Policy
from demo.simulator.management_request import Json, body_of, page
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


def _server(org: Org, request: Request) -> CustomServer:
    server = org.management.servers.find(request.path_params["server_id"])
    if server is None:
        raise errors.not_found("AuthorizationServer")
    return server


def _as_json(org: Org, server: CustomServer) -> Json:
    return {"issuer": f"{org.base_url}/oauth2/{server.id}", **server.body}


async def list_servers(org: Org, request: Request) -> Response:
    """`q` searches in names and audiences."""
    q = request.query_params.get("q", "")
    matching = [
        _as_json(org, server)
        for server in org.management.servers
        if q in server.body["name"] or any(q in audience for audience in server.body["audiences"])
    ]
    return page(org, request, matching, default=200, most=200)


async def one_server(org: Org, request: Request) -> Response:
    return JSONResponse(_as_json(org, _server(org, request)))


async def scopes(org: Org, request: Request) -> Response:
    """Those that were added, and two of the system's."""
    server = _server(org, request)
    system = [{"name": name, "system": True, "default": False} for name in ("openid", "offline_access")]
    added = [
        {"name": name, "system": False, "default": name in server.default_scopes} for name in sorted(server.scopes)
    ]
    return page(org, request, [*system, *added], default=200, most=200)


async def associated_servers(org: Org, request: Request) -> Response:
    """GET lists the trusted servers, or with `trusted=false` the others; POST adds trusted ones."""
    server, every = _server(org, request), org.management.servers
    if request.method == "GET":
        wanted = request.query_params.get("trusted", "true") == "true"
        others = [
            _as_json(org, other) for other in every if other is not server and (other.id in server.trusts) == wanted
        ]
        return page(org, request, others, default=200, most=200)
    trusted = (await body_of(request)).get("trusted")
    if not isinstance(trusted, list) or not trusted:
        raise errors.invalid("trusted", "trusted: a list of ids is required")
    added = [every.find(str(server_id)) for server_id in trusted]
    if not all(added):
        raise errors.not_found("AuthorizationServer")
    if server.trusts & set(trusted) or server.id in trusted:
        raise errors.invalid("trusted", "trusted: The associated server mapping already exists.")
    server.trusts |= set(trusted)
    org.record("server_trusted", f"the server {server.id} now trusts {', '.join(trusted)}")
    return JSONResponse([_as_json(org, other) for other in added if other is not None])


async def policies(org: Org, request: Request) -> Response:
    server = _server(org, request)
    if request.method == "GET":
        return JSONResponse([policy.body for policy in server.all_policies().values()])
    body = await body_of(request)
    if body.get("type") != "OAUTH_AUTHORIZATION_POLICY" or not 1 <= len(str(body.get("name", ""))) <= 100:
        raise errors.invalid("policy", "type and name are required")
    if any(policy.body["name"] == body["name"] for policy in server.all_policies().values()):
        raise errors.invalid("name", "name: A policy of this name exists")
    included = body.get("conditions", {}).get("clients", {}).get("include")
    known = {"ALL_CLIENTS", *(app.client.client_id for app in org.apps)}
    if not included or not set(included) <= known:
        raise errors.invalid("conditions", "conditions.clients.include: ALL_CLIENTS, or clients of this org")
    made = Policy({"status": "ACTIVE", "system": False, **body, "id": new_id("00p")})
    server.policies[made.body["id"]] = made
    return JSONResponse(made.body, 201)


async def rules(org: Org, request: Request) -> Response:
    policy = _server(org, request).all_policies().get(request.path_params["policy_id"])
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
