"""How our own pages look: the style sheet that is ours, and the operator's behind it, allowed by their hash alone.

The policy lets nothing be loaded, so a style sheet cannot tell anybody who met which page.
"""

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from typing import Final

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
.ways { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin: 1.5rem 0 0; padding: 0; list-style: none; }
.ways a { display: inline-block; padding: .6rem 0; font-weight: 600; }
a:focus-visible { outline: 3px solid var(--link); outline-offset: 3px; }
dl { margin: 2rem 0 0; padding: 1rem 0 0; border-top: 1px solid var(--line); color: var(--quiet); font-size: .9rem; }
dt { font-weight: 600; }
dd { margin: 0 0 .5rem; font-family: ui-monospace, monospace; }
"""


@dataclass(frozen=True, slots=True)
class PageStyle:
    """`content_security_policy` allows `css`, byte for byte, and nothing else."""

    css: str
    content_security_policy: bytes

    @classmethod
    def of(cls, css: str) -> "PageStyle":
        digest = b64encode(hashlib.sha256(css.encode()).digest()).decode()
        policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        return cls(css, f"{policy}frame-ancestors 'none'".encode("ascii"))


_PLAIN: Final = PageStyle.of(_STYLE)
_current = _PLAIN


def current() -> PageStyle:
    return _current


def wear(own: str | None) -> None:
    """From now on the pages of this process look like this: our style, then `own`; None: ours alone."""
    global _current
    # A browser hashes what it parsed, and it parses CR LF and CR as LF.
    _current = _PLAIN if own is None else PageStyle.of(_STYLE + own.replace("\r\n", "\n").replace("\r", "\n"))
