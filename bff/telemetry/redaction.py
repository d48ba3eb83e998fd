"""What a log line must not hold: tokens, codes, cookies, passwords; and characters that act on a terminal.

The second line of defence. The first: nobody hands a secret to a logger. This one is for foreign messages and for
the day somebody does. It takes out too much rather than too little.
"""

import re
from collections.abc import Callable
from typing import Final, TypeAlias

REDACTED: Final = "[redacted]"
LIMIT: Final = 8192  # characters of one value; what is longer is cut, so that one line stays one line

# Names that say what stands behind them, with `=` or `:` and any quoting between. Longest alternatives first.
_NAMED: Final = (
    r"(?:refresh|access|id|logout|session|device|ssws|api|csrf)[_-]?tokens?|id_token_hint|client_secret(?:_next)?"
    r"|client_assertion|client_private_key|private_key|code_verifier|session_keys?|secret|passw(?:or)?d|passphrase"
    r"|authorization|proxy-authorization|assertion|dpop|login_hint"
)
# Names that also mean harmless things: only `name=value` with a value too long for a status or a word.
_SHORT: Final = r"code|state|nonce|sid|token|ticket|session|browser|login-[\w-]+"
_START: Final = r"(?:\b|(?<=%[0-9A-F]{2}))"  # also after an escape: %3Fcode%3D...
_ASSIGN: Final = r"""\\?["']?\s*(?:=|:|%3D)\s*\\?["']?"""
_VALUE: Final = r"""[^\s&"'\\,;}\])]"""

Replacement: TypeAlias = str | Callable[[re.Match[str]], str]
_PATTERNS: Final[tuple[tuple[re.Pattern[str], Replacement], ...]] = (
    # A whole Cookie or Set-Cookie line, also as a pair of byte strings in a header list.
    (
        re.compile(r"""(?i)\b((?:set-)?cookie2?\\?["']?\s*[:=,]\s*)(?:b?\\?["'][^"']*\\?["']?|[^\r\n"')\]}]+)"""),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"((?:__(?:Host|Secure|Http)-)[\w-]*)=[^;\s\"']*"), rf"\1={REDACTED}"),
    # JOSE in compact form (RFC 7515 section 3.1): what a JSON object looks like in base64url, and all that follows.
    (re.compile(r"\beyJ[\w-]{6,}(?:\.[\w-]*)*"), "[jwt]"),
    (re.compile(r"(?i)\b(bearer|basic|dpop|ssws)(\s+|%20)[\w.~+/=%-]{8,}"), rf"\1 {REDACTED}"),
    (
        re.compile(rf"(?i){_START}((?:{_NAMED}){_ASSIGN})(?!\[redacted\]|bearer |basic |dpop |ssws ){_VALUE}+"),
        rf"\1{REDACTED}",
    ),
    (re.compile(rf"(?i){_START}((?:{_SHORT})(?:=|%3D)){_VALUE}{{8,}}"), rf"\1{REDACTED}"),
    # user:password@ before a host; a store's URL may hold a password with slashes that nobody escaped.
    (re.compile(r"""(?i)\b(rediss?(?:\+\w+)?://)[^\s"'<>]*@"""), rf"\1{REDACTED}@"),
    (re.compile(r"""(?i)\b([a-z][a-z0-9+.-]*://)[^\s"'<>/?#@]*(?:@[^\s"'<>/?#@]*)*@"""), rf"\1{REDACTED}@"),
    # 40 characters and more of base64url, mixed as only random ones are: opaque tokens, codes, sealed values, keys.
    (re.compile(r"(?<![\w-])(?=[\w-]*[A-Z])(?=[\w-]*[a-z])[\w-]{40,}"), REDACTED),
)
_SECRET_FIELD: Final = re.compile(rf"(?i)(?:{_NAMED}|code|nonce|state|(?:set-)?cookies?|headers)")
_PLAIN_WORD: Final = re.compile(r"[a-z0-9_]{1,40}")  # an error code or a word of our own, never a token


def redact(text: str) -> str:
    """`text` without anything that looks like a secret, cut at LIMIT characters."""
    if len(text) > LIMIT:
        text = f"{text[:LIMIT]}… ({len(text) - LIMIT} more characters)"
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact_field(name: str, value: str) -> str:
    """The value of a named field. A field named like a secret shows nothing, unless it is a plain lower-case word."""
    if _SECRET_FIELD.fullmatch(name) and not _PLAIN_WORD.fullmatch(value):
        return REDACTED
    return redact(value)


def escape(text: str) -> str:
    """Writes out every character that a terminal or a viewer would act on instead of showing: C0 and C1 controls, ANSI
    escapes, line separators, bidirectional marks (U+202E and its kin), zero-width characters, lone surrogates."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    point = ord(char)
    if char in "\n\r\t":
        return {"\n": r"\n", "\r": r"\r", "\t": r"\t"}[char]
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
