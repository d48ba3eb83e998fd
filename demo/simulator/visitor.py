"""A user with a browser, for tests: opens the authorization URL, submits the sign-in form, and returns the redirect."""

import html
import re
from urllib.parse import urljoin

import httpx

from demo.simulator.people import PASSWORD

TRANSACTION = re.compile(r'name="transaction" value="([^"]+)"')


async def sign_in(
    browser: httpx.AsyncClient,
    authorization_url: str,
    login: str = "alice@example.com",
    *,
    password: str = PASSWORD,
    code: str = "123456",
) -> httpx.Response:
    """The response that redirects the browser to the application; it is not followed.

    `browser` keeps the provider's cookie and must not follow redirects. If the provider still has a session, or refuses
    the request, its response to the authorization request is returned at once.
    """
    page = await browser.get(authorization_url)
    transaction = TRANSACTION.search(page.text)
    if page.status_code != 200 or transaction is None:
        return page
    fields = {"transaction": html.unescape(transaction[1]), "username": login, "password": password}
    if 'name="code"' in page.text:
        fields["code"] = code
    return await browser.post(urljoin(authorization_url, "/signin"), data=fields)
