"""The page that a sign-in in a popup ends on: it sends a message to the origin's other pages, and closes.

By BroadcastChannel, not by `window.opener`, which the `Cross-Origin-Opener-Policy` of the provider's pages cuts. The
message proves nothing and contains nothing of the session: a page that gets it reads `/auth/session`. An error page in
a popup sends the error code in the same way, but stays open, because it says what to do next.
"""

import hashlib
import re
from base64 import b64encode
from html import escape
from typing import Final

from bff.web.cookies import Header
from bff.web.page_layout import PageLayout

POPUP: Final = "/auth/popup"
CHANNEL: Final = "bff-sign-in"
# The application's own name of one sign-in, so that it recognises the message. Not secret.
_ID: Final = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)
_PATH: Final = re.compile(rf"{POPUP}(?:\?id=({_ID.pattern}))?", re.ASCII)

# Constant, so that the Content-Security-Policy allows it by its hash. A window that is closed at once may take its
# message with it.
_SCRIPT: Final = f"""
const announced = document.currentScript.dataset;
if (self.BroadcastChannel) {{
  new BroadcastChannel("{CHANNEL}").postMessage(
    {{ type: "sign_in", id: announced.id || null, outcome: announced.outcome, code: announced.code || null }});
}}
const button = document.querySelector("button");
button.addEventListener("click", () => self.close());
button.hidden = false;
if (announced.outcome === "finished") setTimeout(() => self.close(), 200);
"""
SCRIPT_HASH: Final = b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
CLOSE_BUTTON: Final = '<button type="button" hidden>Close this window</button>'
_CONTENT: Final = """<p>You can close this window and go back to the application.</p>
{button}
<ul class="links">
<li><a href="{landing_path}">Go to the start page</a></li>
</ul>
{script}"""


def popup_path(popup_id: str | None) -> str | None:
    """The return path of a sign-in in a popup; None for an id of another form."""
    if not popup_id:
        return POPUP
    return f"{POPUP}?id={popup_id}" if _ID.fullmatch(popup_id) else None


def is_popup(return_path: str) -> bool:
    """Whether a return path is exactly what `popup_path` returns."""
    return _PATH.fullmatch(return_path) is not None


def announcement(return_path: str, code: str | None = None) -> str:
    """The script element for that return path, with an error code if the sign-in failed."""
    match = _PATH.fullmatch(return_path)
    popup_id = (match and match[1]) or ""
    outcome = "finished" if code is None else "failed"
    attributes = {"data-id": popup_id, "data-outcome": outcome, "data-code": code or ""}
    written = " ".join(f'{name}="{escape(value)}"' for name, value in attributes.items())
    return f"<script {written}>{_SCRIPT}</script>"


class PopupPage:
    """One per application."""

    def __init__(self, landing_path: str, stylesheet: str | None = None) -> None:
        """`stylesheet` follows the built-in one of our pages."""
        self._landing_path, self._layout = landing_path, PageLayout(stylesheet)

    def render(self, return_path: str) -> bytes:
        content = _CONTENT.format(
            button=CLOSE_BUTTON, landing_path=escape(self._landing_path), script=announcement(return_path)
        )
        return self._layout.render("The sign-in is finished", content)

    def headers(self) -> list[Header]:
        return self._layout.headers(script_hash=SCRIPT_HASH)
