"""The layout of our own pages: the style, the frame of the document, and the headers that allow exactly this.

No image and no external resource; no script, but for the constant one of a popup. All text is constant or escaped.
"""

import hashlib
from base64 import b64encode
from html import escape
from typing import Final

from bff.web.cookies import Header

# The built-in style sheet. The operator's own follows it, and the Content-Security-Policy allows the two by their hash.
# The policy allows nothing to be loaded, so a style sheet cannot report to a third party who saw which page.
_STYLE: Final = """
:root {
  color-scheme: light dark;
  --ink: #1b1f24; --paper: #ffffff; --quiet: #57606a; --line: #d0d7de; --link: #0550ae;
}
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --paper: #0d1117; --quiet: #9ea7b3; --line: #3d444d; --link: #79c0ff; }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.6 system-ui, sans-serif; }
main { max-width: 36rem; margin: 0 auto; padding: clamp(1.5rem, 8vh, 6rem) 1.25rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem; }
a { color: var(--link); }
.links { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin: 1.5rem 0 0; padding: 0; list-style: none; }
.links a { display: inline-block; padding: .6rem 0; font-weight: 600; }
button { font: inherit; font-weight: 600; padding: .6rem 1.25rem; border: 0; border-radius: .375rem;
  background: var(--link); color: var(--paper); cursor: pointer; }
a:focus-visible, button:focus-visible { outline: 3px solid var(--link); outline-offset: 3px; }
dl { margin: 2rem 0 0; padding: 1rem 0 0; border-top: 1px solid var(--line); color: var(--quiet); font-size: .9rem; }
dt { font-weight: 600; }
dd { margin: 0 0 .5rem; font-family: ui-monospace, monospace; }
"""

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{content}
</main>
</body>
</html>
"""


class PageLayout:
    """One per application, with the operator's style sheet."""

    def __init__(self, stylesheet: str | None = None) -> None:
        """`stylesheet` follows the built-in one."""
        # Browsers hash the style after newline normalisation: CR LF and CR become LF.
        self._css = _STYLE + (stylesheet or "").replace("\r\n", "\n").replace("\r", "\n")
        self._digest = b64encode(hashlib.sha256(self._css.encode()).digest()).decode()

    def render(self, title: str, content: str) -> bytes:
        """`title` is escaped here; `content` is HTML."""
        return _PAGE.format(title=escape(title), style=self._css, content=content).encode()

    def headers(self, *, own_forms: bool = False, script_hash: str | None = None) -> list[Header]:
        """What every page sends. With `own_forms` its forms may be sent to this origin, and name it in `Origin`.
        `script_hash`: the SHA-256 of the one script that may run, in base64.

        Without, the referrer policy hides the address of the page, which may contain a code and a state.
        """
        form_action = "'self'" if own_forms else "'none'"
        script = "" if script_hash is None else f"script-src 'sha256-{script_hash}'; "
        policy = (
            f"default-src 'none'; {script}style-src 'sha256-{self._digest}'; base-uri 'none'; "
            f"form-action {form_action}; frame-ancestors 'none'"
        )
        return [
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-security-policy", policy.encode("ascii")),
            # A form of a page with `no-referrer` sends `Origin: null`.
            (b"referrer-policy", b"same-origin" if own_forms else b"no-referrer"),
            (b"x-frame-options", b"DENY"),
        ]
