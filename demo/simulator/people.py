"""The users of the simulated org. Their password is public."""

from dataclasses import dataclass

PASSWORD = "Simulated-1"


@dataclass(frozen=True, slots=True)
class Person:
    sub: str
    login: str
    given_name: str
    family_name: str
    password: str = PASSWORD
    assigned: bool = True
    has_second_factor: bool = True
    email_verified: bool = True
    locale: str = "en_GB"
    zoneinfo: str = "Europe/London"
    groups: tuple[str, ...] = ("Everyone",)

    @property
    def name(self) -> str:
        return f"{self.given_name} {self.family_name}"


PEOPLE = (
    Person("00u1aliceliddell0001", "alice@example.com", "Alice", "Liddell", groups=("Everyone", "Buyers")),
    Person("00u2bobcratchit00002", "bob@example.com", "Bob", "Cratchit", has_second_factor=False),
    Person("00u3zoekravchenko003", "zoë@example.com", "Zoë", "Кравченко", locale="uk_UA", zoneinfo="Europe/Kyiv"),
    Person("00u4malloryunassign4", "mallory@example.com", "Mallory", "Unassigned", assigned=False),
)
