"""A browser without a screen: a real cookie jar, redirects followed as a navigation, SameSite and Sec-Fetch-* kept."""

import html
import re
from dataclasses import dataclass, field
from http.cookiejar import Cookie
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import httpx

from demo.simulator.people import PASSWORD
from tests.harness.plain_http import plain_http

TRANSACTION = re.compile(r'name="transaction" value="([^"]+)"')
NAVIGATION = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "accept": "text/html,*/*;q=0.8"}
FETCH = {"sec-fetch-mode": "cors", "sec-fetch-dest": "empty", "sec-fetch-site": "same-origin", "accept": "*/*"}


def site_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}"


@dataclass
class Browser:
    app: str
    seen: list[httpx.Response] = field(default_factory=list)

    def __post_init__(self) -> None:
        # A cookie jar of our own to look into; it keeps no policy of SameSite, so `_cookies_for` does.
        self.http = plain_http(follow_redirects=False, timeout=60)

    async def close(self) -> None:
        await self.http.aclose()

    # --- what a person does

    async def navigate(self, url: str, *, initiator: str | None = None, follow: bool = True) -> httpx.Response:
        """Opens a page as if from the address bar, or from a page of `initiator`; follows redirects."""
        return await self._navigate("GET", urljoin(self.app + "/", url), None, initiator, follow)

    async def submit(
        self, url: str, data: dict[str, str], *, initiator: str | None = None, follow: bool = True
    ) -> httpx.Response:
        """Submits a form of a page of `initiator`."""
        return await self._navigate("POST", urljoin(self.app + "/", url), data, initiator, follow)

    async def sign_in(self, login: str = "alice@example.com", *, return_to: str | None = None) -> httpx.Response:
        """From the BFF's login address to the page the person wanted, through Okta's sign-in page if it appears."""
        page = await self.navigate("/auth/login" + (f"?return_to={return_to}" if return_to else ""))
        return await self.fill_in(page, login)

    async def fill_in(
        self, page: httpx.Response, login: str = "alice@example.com", *, follow: bool = True
    ) -> httpx.Response:
        found = TRANSACTION.search(page.text)
        if found is None:
            return page
        fields = {"transaction": html.unescape(found[1]), "username": login, "password": PASSWORD, "code": "123456"}
        action = urljoin(str(page.url), "/signin")
        return await self._navigate("POST", action, fields, site_of(str(page.url)), follow)

    # --- a sign-in, step by step

    async def begin(self, return_to: str = "/") -> str:
        """Opens the BFF's login address; the URL of the authorization request, not yet opened."""
        answer = await self.navigate(f"/auth/login?return_to={quote(return_to, safe='')}", follow=False)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    async def at_provider(self, authorization_url: str, login: str = "alice@example.com") -> str:
        """Goes through the provider's pages; the callback's URL with the answer, not yet opened."""
        page = await self.navigate(authorization_url, initiator=self.app, follow=False)
        if not page.is_redirect:
            page = await self.fill_in(page, login, follow=False)
        assert page.is_redirect, page.text
        return str(page.headers["location"])

    async def until_callback(self, login: str = "alice@example.com", *, return_to: str = "/") -> str:
        return await self.at_provider(await self.begin(return_to), login)

    async def arrive(self, url: str, *, follow: bool = False) -> httpx.Response:
        """Opens the callback as the last step of a chain that began at the provider: no Strict cookie is sent."""
        return await self.navigate(url, initiator="https://provider.invalid", follow=follow)

    # --- what the SPA does

    async def fetch(self, path: str, method: str = "GET", **more: Any) -> httpx.Response:
        headers = {**FETCH, "x-csrf": "1", **more.pop("headers", {})}
        return await self._send(method, urljoin(self.app, path), headers, cross_site=False, **more)

    async def session(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.fetch("/auth/session")).json()
        return found

    async def sign_out(self) -> dict[str, Any]:
        answer = await self.fetch("/auth/logout", "POST")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    # --- what is in the jar

    def cookie(self, name: str) -> str | None:
        return next((cookie.value for cookie in self.http.cookies.jar if cookie.name == name), None)

    def cookie_names(self) -> set[str]:
        mine = urlsplit(self.app).hostname or ""
        return {cookie.name for cookie in self.http.cookies.jar if cookie.domain.removesuffix(".local") == mine}

    def login_cookies(self) -> dict[str, str]:
        """The cookies of the sign-ins under way."""
        return {name: str(self.cookie(name)) for name in self.cookie_names() if name.startswith("bff-login-")}

    def forget(self, host: str = "127.0.0.1") -> None:
        """Drops the cookies of a host: by default the provider's, where the person is then signed out."""
        for cookie in list(self.http.cookies.jar):
            if cookie.domain.removesuffix(".local") == host:
                self.http.cookies.jar.clear(cookie.domain, cookie.path, cookie.name)

    def drop(self, name: str) -> None:
        for cookie in list(self.http.cookies.jar):
            if cookie.name == name:
                self.http.cookies.jar.clear(cookie.domain, cookie.path, cookie.name)

    def plant(self, name: str, value: str) -> None:
        self.http.cookies.set(name, value, domain=f"{urlsplit(self.app).hostname}.local", path="/")

    # --- the network

    async def _navigate(
        self, method: str, url: str, data: dict[str, str] | None, initiator: str | None, follow: bool
    ) -> httpx.Response:
        crossed = initiator is not None and initiator != site_of(url)
        initiator_origin = self.app if initiator == site_of(self.app) else initiator or "null"
        for _ in range(10):
            site = "cross-site" if crossed else ("none" if initiator is None else "same-origin")
            headers = {**NAVIGATION, "sec-fetch-site": site}
            if method == "POST" and data is not None:
                headers |= {"origin": initiator_origin, "content-type": "application/x-www-form-urlencoded"}
            response = await self._send(method, url, headers, cross_site=crossed, data=data)
            if not follow or not response.is_redirect:
                return response
            target = urljoin(url, response.headers["location"])
            crossed = crossed or site_of(target) != site_of(url)
            initiator = initiator or site_of(url)
            url, data = target, None
            if response.status_code in (302, 303):
                method = "GET"
        raise AssertionError("a redirect loop")

    async def _send(
        self, method: str, url: str, headers: dict[str, str], *, cross_site: bool, **more: Any
    ) -> httpx.Response:
        request = self.http.build_request(method, url, headers=headers, **more)
        request.headers.pop("cookie", None)
        sent = self._cookies_for(request, method, cross_site=cross_site)
        if sent:
            request.headers["cookie"] = "; ".join(f"{cookie.name}={cookie.value}" for cookie in sent)
        response = await self.http.send(request)
        self.seen.append(response)
        return response

    def _cookies_for(self, request: httpx.Request, method: str, *, cross_site: bool) -> list[Cookie]:
        """The jar's cookies for this host; of a cross-site navigation no Strict ones, and Lax ones only for GET."""
        probe = httpx.Request("GET", request.url)
        self.http.cookies.set_cookie_header(probe)
        # With the value: cookies of one name may have several paths.
        pairs = set(probe.headers.get("cookie", "").split("; "))
        kept = []
        for cookie in self.http.cookies.jar:
            same_site = cookie.get_nonstandard_attr("SameSite") or "Lax"
            held_back = cross_site and (same_site == "Strict" or (same_site == "Lax" and method != "GET"))
            host = request.url.host if "." in request.url.host else f"{request.url.host}.local"
            if f"{cookie.name}={cookie.value}" in pairs and cookie.domain in (host, request.url.host) and not held_back:
                kept.append(cookie)
        return kept
