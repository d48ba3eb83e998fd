"""Management API state besides apps: groups, Trusted Origins, the custom servers, credentials.

Tests change it directly: a missing licence, an expired token, maintenance mode, a low rate limit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from demo.simulator.app_integrations import new_id, timestamp
from demo.simulator.custom_servers import CustomServers, Policy
from demo.simulator.people import Person

Json = dict[str, Any]
WINDOW = 60  # seconds of a rate limit's window


@dataclass(slots=True)
class Bucket:
    until: float
    left: int


class ManagementState:
    def __init__(self, api_token: str | None, people: Iterable[Person], servers: CustomServers, now: float) -> None:
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
        self.servers = servers
        self._buckets: dict[str, Bucket] = {}

    @property
    def policies(self) -> dict[str, Policy]:
        """The policies of the server `default` that were created through the API."""
        return self.servers["default"].policies

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
