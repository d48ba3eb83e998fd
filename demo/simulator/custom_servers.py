"""The custom authorization servers of the org: their scopes, trusted servers, resources and access policies."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from demo.simulator.config import Client, ServerConfig

Json = dict[str, Any]


@dataclass(slots=True)
class Policy:
    """`body` and `rules` are as in the Management API."""

    body: Json
    rules: list[Json] = field(default_factory=list)

    def rules_for(self, client: Client, grant: str) -> list[Json]:
        """The active rules that apply to this client and grant type."""
        clients = self.body.get("conditions", {}).get("clients", {}).get("include", ())
        if self.body["status"] != "ACTIVE" or not {"ALL_CLIENTS", client.client_id} & set(clients):
            return []
        return [
            rule
            for rule in self.rules
            if rule["status"] == "ACTIVE" and grant in rule["conditions"]["grantTypes"]["include"]
        ]


class CustomServer:
    """One server. `body` is what the Management API shows. `policy_exists`: the default policy is there."""

    def __init__(self, config: ServerConfig) -> None:
        self.id = config.id
        self.body: Json = {
            "id": config.id,
            "name": config.id,
            "audiences": [config.audience],
            "issuerMode": "ORG_URL",
            "status": "ACTIVE",
        }
        self.scopes = set(config.scopes)
        self.default_scopes = set(config.default_scopes)
        self.trusts = set(config.trusts)
        self.resources = set(config.resources)
        self.policies: dict[str, Policy] = {}
        self.policy_exists = bool(config.policy_grants)
        self._default_policy = _default_policy(config)

    @property
    def audience(self) -> str:
        return str(self.body["audiences"][0])

    def all_policies(self) -> dict[str, Policy]:
        if not self.policy_exists:
            return self.policies
        return {self._default_policy.body["id"]: self._default_policy, **self.policies}

    def allows(self, client: Client, grant: str, scope: Iterable[str] = ()) -> bool | None:
        """Whether an access policy allows it: None if no rule is for this client and grant type, False if none of
        those has all of the scopes.
        """
        rules = [rule for policy in self.all_policies().values() for rule in policy.rules_for(client, grant)]
        if not rules:
            return None
        allowed = [set(rule["conditions"]["scopes"]["include"]) for rule in rules]
        return any("*" in scopes or set(scope) <= scopes for scopes in allowed)


class CustomServers:
    """By id. `default` always exists."""

    def __init__(self, configured: Iterable[ServerConfig]) -> None:
        servers = [CustomServer(config) for config in configured]
        if not any(server.id == "default" for server in servers):
            servers.insert(0, CustomServer(ServerConfig()))
        self._servers = {server.id: server for server in servers}

    def __iter__(self) -> Iterator[CustomServer]:
        return iter(self._servers.values())

    def __getitem__(self, server_id: str) -> CustomServer:
        """Raises KeyError."""
        return self._servers[server_id]

    def find(self, server_id: str) -> CustomServer | None:
        return self._servers.get(server_id)


def _default_policy(config: ServerConfig) -> Policy:
    """The policy that most orgs have and a new org lacks."""
    body = {
        "id": f"00p{config.id}policy000000000"[:20],
        "type": "OAUTH_AUTHORIZATION_POLICY",
        "name": "Default Policy",
        "status": "ACTIVE",
        "priority": 1,
        "system": False,
        "conditions": {"clients": {"include": ["ALL_CLIENTS"]}},
    }
    rule = {
        "id": f"0pr{config.id}rule00000000000"[:20],
        "type": "RESOURCE_ACCESS",
        "name": "Default Policy Rule",
        "status": "ACTIVE",
        "priority": 1,
        "conditions": {
            "people": {"groups": {"include": ["EVERYONE"]}},
            "grantTypes": {"include": list(config.policy_grants)},
            "scopes": {"include": ["*"]},
        },
    }
    return Policy(body, [rule])
