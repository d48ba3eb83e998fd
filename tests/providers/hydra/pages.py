"""The pages that Hydra leaves to its operator: login, consent and logout, each a form with one button."""

import html
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

Challenge = dict[str, Any]
REMEMBER: Final = 36000  # seconds


class HydraPages:
    """`admin` is a client of Hydra's admin API."""

    def __init__(self, admin: httpx.AsyncClient) -> None:
        self._admin = admin
        decisions: dict[str, Callable[[Challenge, str], Challenge]] = {
            "login": _login,
            "consent": _consent,
            "logout": lambda challenge, username: {},
        }
        routes = [
            Route(f"/{kind}", self._page(kind, decide), methods=["GET", "POST"]) for kind, decide in decisions.items()
        ]
        self.application = Starlette(routes=routes)

    def _page(self, kind: str, decide: Callable[[Challenge, str], Challenge]) -> Callable[..., Any]:
        path = f"/admin/oauth2/auth/requests/{kind}"

        async def page(request: Request) -> Response:
            form = dict(parse_qsl((await request.body()).decode()))
            name = f"{kind}_challenge"
            query = {name: form.get(name) or request.query_params[name]}
            asked = await self._admin.get(path, params=query)
            asked.raise_for_status()
            challenge: Challenge = asked.json()
            if request.method == "GET" and not challenge.get("skip"):
                return HTMLResponse(_form(kind, query))
            accepted = decide(challenge, form.get("username", ""))
            answer = await self._admin.put(f"{path}/accept", params=query, json=accepted)
            answer.raise_for_status()
            return RedirectResponse(answer.json()["redirect_to"], 303)

        return page


def _form(kind: str, query: dict[str, str]) -> str:
    ((name, value),) = query.items()
    fields = f'<input type="hidden" name="{name}" value="{html.escape(value)}">'
    if kind == "login":
        fields += '<input name="username"><input type="password" name="password">'
    return (
        f'<!doctype html><title>{kind}</title><form method="post" action="/{kind}">{fields}<button>OK</button></form>'
    )


def _login(challenge: Challenge, username: str) -> Challenge:
    return {"subject": challenge["subject"] or username, "remember": True, "remember_for": REMEMBER}


def _consent(challenge: Challenge, username: str) -> Challenge:
    subject = challenge["subject"]
    claims = {"email": subject, "email_verified": True, "name": subject}
    return {
        "grant_scope": challenge["requested_scope"],
        "grant_access_token_audience": challenge["requested_access_token_audience"],
        "remember": True,
        "remember_for": REMEMBER,
        "session": {"id_token": claims},
    }
