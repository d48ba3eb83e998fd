"""The Apps API: apps and their lifecycle, their secrets, assigned groups and users."""

import re

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from demo.simulator import management_errors as errors
from demo.simulator.app_integrations import AppIntegration, Secret
from demo.simulator.management_request import Json, body_of, page
from demo.simulator.org import Org

_FILTER = re.compile(r'(name|status|id) eq "([^"]*)"')


def _app(org: Org, request: Request) -> AppIntegration:
    app = org.apps.find(request.path_params["app_id"])
    if app is None:
        raise errors.not_found("AppInstance")
    return app


def _secret(app: AppIntegration, request: Request) -> Secret:
    app.live_secrets()
    secret = next((candidate for candidate in app.secrets if candidate.id == request.path_params["secret_id"]), None)
    if secret is None:
        raise errors.not_found("OAuth2ClientSecret")
    return secret


async def list_apps(org: Org, request: Request) -> Response:
    members = [app.as_json() for app in org.apps]
    if q := request.query_params.get("q", "").casefold():
        members = [app for app in members if app["name"].startswith(q) or app["label"].casefold().startswith(q)]
    if text := request.query_params.get("filter"):
        match = _FILTER.fullmatch(text)
        if match is None:
            raise errors.invalid("filter", "filter: Invalid search criteria")
        members = [app for app in members if app[match[1]] == match[2]]
    return page(org, request, members, default=20, most=200)


async def create_app(org: Org, request: Request) -> Response:
    active = request.query_params.get("activate", "true") == "true"
    app = org.apps.create(await body_of(request), org.now(), active=active)
    org.record("app_created", f"an administrator made the app {app.kept['label']}", client_id=app.client.client_id)
    return JSONResponse(app.as_json(with_secret=True))


async def one_app(org: Org, request: Request) -> Response:
    app = _app(org, request)
    match request.method:
        case "PUT":
            app.change(await body_of(request), org.now())
            org.record("app_changed", f"an administrator changed the app {app.kept['label']}")
            return JSONResponse(app.as_json(with_secret=True))
        case "DELETE":
            org.apps.delete(app)
            return Response(status_code=204)
        case _:
            return JSONResponse(app.as_json())


def _activates(request: Request) -> bool:
    action: str = request.path_params["action"]
    if action not in ("activate", "deactivate"):
        raise errors.not_found("Lifecycle")
    return action == "activate"


async def lifecycle(org: Org, request: Request) -> Response:
    org.apps.set_active(_app(org, request), active=_activates(request))
    return JSONResponse({})


async def secrets_of_app(org: Org, request: Request) -> Response:
    app = _app(org, request)
    if request.method == "POST":
        body = await body_of(request)
        made = app.add_secret(body.get("client_secret"), org.now(), active=body.get("status", "ACTIVE") == "ACTIVE")
        org.record("secret_made", f"an administrator made a client secret for {app.kept['label']}", secret=made.id)
        return JSONResponse(made.as_json(), 201)
    app.live_secrets()
    return JSONResponse([secret.as_json() for secret in app.secrets])


async def one_secret(org: Org, request: Request) -> Response:
    app = _app(org, request)
    secret = _secret(app, request)
    if request.method == "DELETE":
        if secret.active:
            raise errors.invalid("status", "Only an inactive client secret can be deleted")
        app.secrets.remove(secret)
        return Response(status_code=204)
    return JSONResponse(secret.as_json())


async def secret_lifecycle(org: Org, request: Request) -> Response:
    app = _app(org, request)
    secret = _secret(app, request)
    app.set_live(secret, active=_activates(request))
    return JSONResponse(secret.as_json())


async def groups_of_app(org: Org, request: Request) -> Response:
    members: list[Json] = [{"id": group_id, "priority": 0, "profile": {}} for group_id in _app(org, request).groups]
    return page(org, request, members, default=20, most=200)


async def one_group_of_app(org: Org, request: Request) -> Response:
    app, group_id = _app(org, request), request.path_params["group_id"]
    if group_id not in org.management.groups:
        raise errors.not_found("UserGroup")
    match request.method:
        case "PUT":
            if group_id not in app.groups:
                app.groups.append(group_id)
                org.record("group_assigned", f"a group was assigned to {app.kept['label']}")
        case "DELETE":
            if group_id not in app.groups:
                raise errors.not_found("ApplicationGroupAssignment")
            app.groups.remove(group_id)
            return Response(status_code=204)
        case _:
            if group_id not in app.groups:
                raise errors.not_found("ApplicationGroupAssignment")
    return JSONResponse({"id": group_id, "priority": 0, "profile": {}})


async def users_of_app(org: Org, request: Request) -> Response:
    """Members of assigned groups count as assigned, as at Okta."""
    app = _app(org, request)
    members: list[Json] = [
        {"id": person.sub, "scope": "GROUP", "status": "ACTIVE"}
        for person in org.people.values()
        if org.may_use(app.client.client_id, person.sub)
    ]
    return page(org, request, members, default=50, most=500)
