"""The trial with copied cookies, in a browser that binds no session: the copy works, and the page says why."""

import pytest

from tests.harness.person import Person

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser")]


async def test_a_copy_of_the_cookies_works_in_another_client_and_the_page_says_so(person: Person) -> None:
    await person.sign_in()
    async with person.context.expect_page() as opened:
        await person.presses("Copy the cookies")
    window = await opened.value
    await person.sees("#trial-copy .result", "The copy works: the API answered the other client")
    await person.sees("#trial-copy .more", "DEMO_DEVICE_BOUND=enforce")
    await person.reads_in_the_journal("copied 3 cookies to another client")
    if not window.is_closed():
        await window.wait_for_event("close")
    await person.sees_that_they_are_signed_in()
