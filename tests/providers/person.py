"""A person at a browser who has an account at the provider."""

from http.cookiejar import DefaultCookiePolicy
from typing import Final
from urllib.parse import urljoin

import httpx

from tests.harness.http_browser import Browser, site_of
from tests.providers.html_forms import Form, first_form

PASSWORD: Final = "a password of the tests 4711"
PAGES: Final = 6  # that a provider shows in a row at most


class Person(Browser):
    """Fills in the forms of the provider's pages, whatever they are."""

    login = "alice@example.com"

    def __post_init__(self) -> None:
        super().__post_init__()
        # As browsers do, `Secure` cookies go to http on loopback too.
        self.http.cookies.jar.set_policy(DefaultCookiePolicy(secure_protocols=("https", "http")))

    async def sign_in(self, login: str = "alice@example.com", *, return_to: str | None = None) -> httpx.Response:
        self.login = login
        return await super().sign_in(login, return_to=return_to)

    async def fill_in(
        self, page: httpx.Response, login: str = "alice@example.com", *, follow: bool = True
    ) -> httpx.Response:
        """Goes through the provider's pages until one is the BFF's."""
        for _ in range(PAGES):
            form = self.form_of_provider(page)
            if form is None:
                return page
            values = {"login": login, "username": login, "password": PASSWORD}
            action = urljoin(str(page.url), form.action)
            page = await self.submit(action, form.filled(values), initiator=site_of(str(page.url)))
        raise AssertionError(f"the provider shows one page after another: {page.url}\n{page.text[:2000]}")

    def form_of_provider(self, page: httpx.Response) -> Form | None:
        """The form of a page of the provider; None on the BFF's own pages."""
        return None if str(page.url).startswith(self.app) else first_form(page.text)

    async def sign_out_everywhere(self) -> httpx.Response:
        """At the BFF, then at the provider through its pages; the page on which it ends."""
        ended = await self.sign_out()
        assert ended["end_session_url"] is not None, ended
        return await self.fill_in(await self.navigate(ended["end_session_url"]), self.login)

    async def is_asked_to_sign_in(self) -> bool:
        """Whether the provider asks for a password at the next sign-in, which is left there."""
        form = self.form_of_provider(await self.navigate("/auth/login"))
        return form is not None and "password" in form.fields
