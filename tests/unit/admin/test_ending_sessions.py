"""What `bff sessions end` reports of the tokens of the sessions that it ended."""

from typing import Any

import pytest

from bff.admin.sessions import AdminContext, Selection, TokensStayValid, end_sessions
from bff.oidc.token import NotRevoked
from tests.unit.flows.parts import Parts


async def reported(parts: Parts, **options: Any) -> list[str]:
    """The lines; the last one is the error, if there is one."""
    lines = list[str]()
    context = AdminContext(parts.settings, parts.store, parts.end_sessions, parts.revocations)
    try:
        async for line in end_sessions(context, Selection(), "", **options):
            lines.append(line)
    except TokensStayValid as error:
        lines.append(str(error))
    await parts.tasks.drain(0)
    return lines


ENDED = "3 sessions ended"


@pytest.mark.parametrize(
    ("refusal", "wait", "lines"),
    [
        (None, 60.0, [ENDED, "3 tokens revoked at the provider"]),
        (
            NotRevoked("unsupported_token_type", final=True),
            60.0,
            [ENDED, "2 tokens revoked at the provider", "1 token not revoked, valid until the provider expires them"],
        ),
        (NotRevoked("503", retry_after=50.0), 0.5, [ENDED, "* revoked at the provider", "* in the queue of the store"]),
    ],
    ids=["all revoked", "one refused", "one postponed"],
)
async def test_the_fate_of_every_token_is_reported(refusal: NotRevoked | None, wait: float, lines: list[str]) -> None:
    parts = Parts()
    parts.provider.revocation_answers = [] if refusal is None else [refusal]
    for _ in range(3):
        await parts.signed_in()
    printed = await reported(parts, wait=wait)
    assert len(printed) == len(lines)
    for line, expected in zip(printed, lines, strict=True):
        assert line == expected or (expected.startswith("*") and expected[1:] in line)


async def test_progress_is_shown_while_the_provider_is_slow() -> None:
    parts, shown = Parts(), list[str]()
    parts.provider.delay = 0.1
    for _ in range(3):
        await parts.signed_in()
    assert await reported(parts, wait=60.0, progress=shown.append) == [ENDED, "3 tokens revoked at the provider"]
    assert shown[0] == "3 tokens to be revoked"
