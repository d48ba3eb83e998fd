"""What a run saw, as the table of docs/interoperability.md."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.harness.places import ROOT
from tests.providers.provider import Provider

DOCUMENT: Final = ROOT / "docs" / "interoperability.md"
BEGIN: Final = "<!-- written by `make test-providers`: begin -->"
END: Final = "<!-- written by `make test-providers`: end -->"
ABSENT: Final = "not shown"

# The journeys by the name of their test, in the order of the table.
ROWS: Final = {
    "test_a_person_signs_in_calls_the_api_and_signs_out_everywhere": "Sign-in, API calls, sign-out at both",
    "test_a_sign_out_at_the_bff_ends_the_tokens_at_the_provider": "Sign-out revokes the refresh token",
    "test_a_sign_out_at_the_provider_ends_the_session": "Sign-out at the provider (back-channel logout)",
    "test_a_second_sign_in_in_the_same_browser_keeps_its_tokens": "A second sign-in in the same browser",
    "test_a_step_up_that_fails_leaves_the_session_as_it_was": "A step-up that fails",
    "test_a_sign_out_in_one_browser_leaves_the_other_one": "Two browsers of one user, sign-out in one",
    "test_fifty_callers_on_two_replicas_cost_one_token_request": "50 callers on two replicas, expired access token",
    "test_renewals_in_a_row_send_no_token_twice": "Renewals in a row",
    "test_a_lost_answer_where_refresh_tokens_are_not_rotated": "Lost token response, refresh token not rotated",
    "test_a_lost_answer_where_refresh_tokens_are_rotated": "Lost token response, refresh token rotated",
    "test_a_provider_that_is_away_ends_no_session": "Provider away and back",
    "test_a_refresh_token_that_was_revoked_ends_the_session": "Refresh token revoked at the provider",
    "test_a_client_secret_that_was_replaced": "Client secret replaced, `BFF_CLIENT_SECRET_NEXT`",
    "test_a_new_signing_key": "Signing key rotated",
    "test_id_tokens_with_another_algorithm": "ID and logout tokens signed with, besides RS256",
    "test_encrypted_id_tokens": "ID and logout tokens encrypted with",
    "test_signed_userinfo": "UserInfo signed with",
    "test_client_authentication_with_a_key": "`private_key_jwt` signed with",
    "test_tokens_bound_to_a_key": "DPoP",
    "test_the_shape_of_fapi_2": "FAPI 2.0: PAR, `private_key_jwt` for the issuer, DPoP, PS256",
    "test_each_route_gets_tokens_of_its_own_audience": "Tokens for [other audiences](api-tokens.md), two users at once",
    "test_fifty_callers_on_a_cold_audience_cost_one_token_request": "50 callers on two replicas, new audience",
    "test_a_refused_audience_ends_no_session": "An audience that the provider refuses",
    "test_a_session_from_before_the_route_ends_at_no_audience": "A session that is older than the route",
    "test_tokens_of_other_audiences_are_bound_to_a_key": "Tokens for other audiences with DPoP",
    "test_own_tokens_are_shared_by_all_sessions": "Client credentials",
    "test_doctor_finds_no_fault": "`bff doctor`",
}


@dataclass
class Interoperability:
    providers: tuple[type[Provider], ...]
    cells: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def passed(self, test: str, provider: type[Provider], cell: str) -> None:
        self.cells.setdefault((test, provider.name), []).append(cell)

    def missing(self, expected: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """The journeys, as test and provider, that this run did not show."""
        return sorted(set(expected) - self.cells.keys())

    def table(self) -> str:
        heads = [f"{provider.name} {provider.version}" for provider in self.providers]
        lines = ["| | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
        for test, title in ROWS.items():
            cells = [", ".join(self.cells.get((test, each.name), [ABSENT])) for each in self.providers]
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def write(self, document: Path = DOCUMENT) -> None:
        """Replaces what is between the markers of the document."""
        text = document.read_text("utf-8")
        pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
        new = pattern.sub(lambda _: f"{BEGIN}\n{self.table()}\n{END}", text)
        if new != text:
            document.write_text(new, "utf-8")
