"""Management API state besides apps: groups, Trusted Origins, the custom server, its policies, credentials.

Tests change it directly: a missing licence, an expired token, maintenance mode, a low rate limit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from demo.simulator.app_integrations import new_id, timestamp
from demo.simulator.config import Client
from demo.simulator.people import Person

Json = dict[str, Any]
WINDOW = 60  # seconds of a rate limit's window


@dataclass(slots=True)
class Policy:
    body: Json
    rules: list[Json] = field(default_factory=list)

    def lets_in(self, client: Client) -> bool:
        clients = self.body.get("conditions", {}).get("clients", {}).get("include", ())
        if self.body["status"] != "ACTIVE" or not {"ALL_CLIENTS", client.client_id} & set(clients):
            return False
        return any(
            rule["status"] == "ACTIVE" and "authorization_code" in rule["conditions"]["grantTypes"]["include"]
            for rule in self.rules
        )


@dataclass(slots=True)
class Bucket:
    until: float
    left: int


class ManagementState:
    def __init__(self, api_token: str | None, people: Iterable[Person], now: float) -> None:
        self.api_token = api_token
        self.token_expired = False
        self.licensed = True  # API Access Management: custom authorization servers
        self.read_only = False  # Okta in maintenance
        self.rate_limit = 600  # requests in a window
        self.largest_page = 200
        self.requests: list[tuple[str, str, Json | None]] = []  # method, path with query, body: for tests
        names = sorted({name for person in people for name in person.groups})
        self.groups: dict[str, Json] = {}
        for name in names:
            self.add_group(name, now)
        self.origins: dict[str, Json] = {}
        self.policies: dict[str, Policy] = {}
        self.server: Json = {
            "id": "default",
            "name": "default",
            "audiences": ["api://default"],
            "issuerMode": "ORG_URL",
            "status": "ACTIVE",
        }
        self._buckets: dict[str, Bucket] = {}

    def add_group(self, name: str, now: float) -> str:
        group_id, group_type = new_id("00g"), "BUILT_IN" if name == "Everyone" else "OKTA_GROUP"
        self.groups[group_id] = {
            "id": group_id,
            "type": group_type,
            "created": timestamp(now),
            "profile": {"name": name, "description": None},
        }
        return group_id

    def groups_of(self, person: Person) -> set[str]:
        return {group_id for group_id, group in self.groups.items() if group["profile"]["name"] in person.groups}

    def default_policy(self) -> Policy:
        """The policy that most orgs have and a new org lacks."""
        body = {
            "id": "00pdefaultpolicy0001",
            "type": "OAUTH_AUTHORIZATION_POLICY",
            "name": "Default Policy",
            "status": "ACTIVE",
            "priority": 1,
            "system": False,
            "conditions": {"clients": {"include": ["ALL_CLIENTS"]}},
        }
        rule = {
            "id": "0prdefaultrule000001",
            "type": "RESOURCE_ACCESS",
            "name": "Default Policy Rule",
            "status": "ACTIVE",
            "priority": 1,
            "conditions": {
                "people": {"groups": {"include": ["EVERYONE"]}},
                "grantTypes": {"include": ["authorization_code", "client_credentials", "password"]},
                "scopes": {"include": ["*"]},
            },
        }
        return Policy(body, [rule])

    def take(self, bucket: str, now: float) -> tuple[bool, Mapping[str, str]]:
        """Takes one request from the bucket's window: whether it was allowed, and the three rate-limit headers."""
        current = self._buckets.get(bucket)
        if current is None or now >= current.until:
            current = self._buckets[bucket] = Bucket(now + WINDOW, self.rate_limit)
        allowed = current.left > 0
        current.left = max(0, current.left - 1)
        return allowed, {
            "X-Rate-Limit-Limit": str(self.rate_limit),
            "X-Rate-Limit-Remaining": str(current.left),
            "X-Rate-Limit-Reset": str(int(current.until)),
        }

    def forget_limits(self) -> None:
        self._buckets.clear()
