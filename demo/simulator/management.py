"""The routes of Okta's Management API that provisioning needs."""

from starlette.routing import Route

from demo.simulator import management_apps as apps
from demo.simulator import management_servers as servers
from demo.simulator.management_request import Handler, guarded
from demo.simulator.org import Org

LIFECYCLE = "lifecycle/{action}"


def management_routes(org: Org) -> list[Route]:
    def route(path: str, handler: Handler, what: str, *methods: str) -> Route:
        return Route(f"/api/v1/{path}", guarded(org, handler, what), methods=list(methods))

    app, origin = "apps/{app_id}", "trustedOrigins/{origin_id}"
    secret, server = f"{app}/credentials/secrets", "authorizationServers/{server_id}"
    return [
        route("apps", apps.list_apps, "apps", "GET"),
        route("apps", apps.create_app, "apps", "POST"),
        route(app, apps.one_app, "apps", "GET", "PUT", "DELETE"),
        route(f"{app}/{LIFECYCLE}", apps.lifecycle, "apps", "POST"),
        route(secret, apps.secrets_of_app, "apps", "GET", "POST"),
        route(f"{secret}/{{secret_id}}", apps.one_secret, "apps", "GET", "DELETE"),
        route(f"{secret}/{{secret_id}}/{LIFECYCLE}", apps.secret_lifecycle, "apps", "POST"),
        route(f"{app}/groups", apps.groups_of_app, "apps", "GET"),
        route(f"{app}/groups/{{group_id}}", apps.one_group_of_app, "apps", "GET", "PUT", "DELETE"),
        route(f"{app}/users", apps.users_of_app, "apps", "GET"),
        route("groups", servers.list_groups, "groups", "GET"),
        route("trustedOrigins", servers.trusted_origins, "trustedOrigins", "GET", "POST"),
        route(origin, servers.one_origin, "trustedOrigins", "GET", "PUT", "DELETE"),
        route(f"{origin}/{LIFECYCLE}", servers.origin_lifecycle, "trustedOrigins", "POST"),
        route("authorizationServers", servers.list_servers, "authorizationServers", "GET"),
        route(server, servers.one_server, "authorizationServers", "GET"),
        route(f"{server}/scopes", servers.scopes, "authorizationServers", "GET"),
        route(f"{server}/associatedServers", servers.associated_servers, "authorizationServers", "GET", "POST"),
        route(f"{server}/policies", servers.policies, "authorizationServers", "GET", "POST"),
        route(f"{server}/policies/{{policy_id}}/rules", servers.rules, "authorizationServers", "GET", "POST"),
    ]
