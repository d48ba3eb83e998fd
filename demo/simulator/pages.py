"""The provider's own pages: sign-in, error, signed out, and the form of response_mode=form_post."""

from collections.abc import Mapping
from html import escape

from starlette.responses import HTMLResponse, Response

from demo.simulator.people import Person

STYLE = """
:root { color-scheme: light dark; --ink: #1d1d21; --soft: #62626b; --page: #f4f4f4; --card: #fff; --line: #d7d7dc;
        --act: #1662dd; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #f2f2f4; --soft: #a8a8b3; --page: #141417; --card: #1f1f24; --line: #3a3a42; --act: #6aa1ff; }
}
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--page); color: var(--ink);
       font: 16px/1.5 system-ui, sans-serif; padding: 24px; }
main { width: 100%; max-width: 400px; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
       padding: 32px 40px 24px; }
.org { font-weight: 700; letter-spacing: .02em; padding-bottom: 16px; margin-bottom: 24px; text-align: center;
       border-bottom: 1px solid var(--line); }
h1 { font-size: 1.25rem; margin: 0 0 16px; text-align: center; }
label { display: block; font-size: .875rem; font-weight: 600; margin-top: 16px; }
input { width: 100%; margin-top: 4px; padding: 10px; font: inherit; color: inherit; background: transparent;
        border: 1px solid var(--soft); border-radius: 4px; }
button { width: 100%; margin-top: 24px; padding: 12px; font: inherit; font-weight: 600; color: #fff; border: 0;
         background: #1662dd; border-radius: 4px; cursor: pointer; }
:focus-visible { outline: 2px solid var(--act); outline-offset: 2px; }
.wrong { border: 1px solid #d0342c; border-left-width: 6px; border-radius: 4px; padding: 10px 12px; margin: 0 0 8px; }
.people { margin: 24px 0 0; padding-top: 16px; border-top: 1px solid var(--line); font-size: .875rem;
          color: var(--soft); }
.people ul { margin: 4px 0 0; padding-left: 18px; }
code { color: var(--ink); }
"""
FAVICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="16" cy="16" r="15" fill="#1662dd"/>'
    '<circle cx="16" cy="16" r="7" fill="#fff"/></svg>'
)
HEADERS = {
    "Cache-Control": "no-cache, no-store",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
}


def _page(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="icon" href="/favicon.ico" type="image/svg+xml">
<style>{STYLE}</style>
<main>
<div class="org">Simulated Okta</div>
{body}
</main>
</html>
"""


def sign_in(
    transaction: str, login: str, people: tuple[Person, ...], *, second_factor: bool, wrong: str | None = None
) -> HTMLResponse:
    alert = f'<p class="wrong" role="alert">{escape(wrong)}</p>' if wrong else ""
    code = (
        '<label for="code">Code from your authenticator</label>'
        '<input id="code" name="code" inputmode="numeric" autocomplete="one-time-code" pattern="[0-9]{6}" required>'
        if second_factor
        else ""
    )
    listed = "".join(f"<li><code>{escape(p.login)}</code>{_remark(p)}</li>" for p in people)
    password = escape(people[0].password) if people else ""
    body = f"""<h1>Sign In</h1>
{alert}<form method="post" action="/signin">
<input type="hidden" name="transaction" value="{escape(transaction)}">
<label for="username">Username</label>
<input id="username" name="username" value="{escape(login)}" autocomplete="username" autofocus required>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
{code}<button type="submit">Sign in</button>
</form>
<div class="people">People of this org, all with the password <code>{password}</code>{
        " and any six digits as the code" if second_factor else ""
    }:<ul>{listed}</ul></div>"""
    return HTMLResponse(_page("Sign in - Simulated Okta", body), headers=HEADERS)


def _remark(person: Person) -> str:
    return "" if person.assigned else " (not assigned to the application)"


def error(code: str, description: str) -> str:
    said = f"<p>Your request resulted in an error. {escape(description)}</p>"
    return _page("Error - Simulated Okta", f"<h1>400</h1>{said}<p><code>{escape(code)}</code></p>")


def signed_out() -> str:
    return _page("Signed out - Simulated Okta", "<h1>Signed out</h1><p>You may close this page.</p>")


def favicon() -> Response:
    """Browsers ask for it on their own."""
    return Response(FAVICON, media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})


def form_post(redirect_uri: str, answer: Mapping[str, str]) -> str:
    fields = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in answer.items()
    )
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Signing in</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<body onload="document.forms[0].submit()"><main><h1>Signing in</h1>
<form method="post" action="{escape(redirect_uri)}">{fields}<noscript><button>Continue</button></noscript></form>
</main></body></html>
"""
