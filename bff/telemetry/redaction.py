"""Redaction of log lines: removes tokens, codes, cookies and passwords, and escapes control characters.

A second line of defence; the first is that no code logs a secret. It covers third-party messages and mistakes, and
removes too much rather than too little.
"""

import re
from collections.abc import Callable
from typing import Final, TypeAlias

REDACTED: Final = "[redacted]"
LIMIT: Final = 8192  # characters of one value; longer values are cut

# Names of secrets, followed by `=` or `:` and optional quotes. Longest alternatives first.
_NAMED: Final = (
    r"(?:refresh|access|subject|id|logout|session|device|ssws|api|csrf)[_-]?tokens?|id_token_hint|client_secret(?:_next)?"
    r"|client_assertion|client_private_key|private_key|decryption_keys?|code_verifier|session_keys?|secret|passw(?:or)?d|passphrase"
    r"|authorization|proxy-authorization|assertion|dpop|login_hint"
)
# Ambiguous names: redacted only as `name=value` with a value too long for a status or a word.
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
    # A compact JWS or JWE (RFC 7515 section 3.1): a base64url-encoded JSON object and what follows.
    (re.compile(r"\beyJ[\w-]{6,}(?:\.[\w-]*)*"), "[jwt]"),
    (re.compile(r"(?i)\b(bearer|basic|dpop|ssws)(\s+|%20)[\w.~+/=%-]{8,}"), rf"\1 {REDACTED}"),
    (
        re.compile(rf"(?i){_START}((?:{_NAMED}){_ASSIGN})(?!\[redacted\]|bearer |basic |dpop |ssws ){_VALUE}+"),
        rf"\1{REDACTED}",
    ),
    (re.compile(rf"(?i){_START}((?:{_SHORT})(?:=|%3D)){_VALUE}{{8,}}"), rf"\1{REDACTED}"),
    # user:password@ before a host; the password in a store URL may contain unescaped slashes.
    (re.compile(r"""(?i)\b(rediss?(?:\+\w+)?://)[^\s"'<>]*@"""), rf"\1{REDACTED}@"),
    (re.compile(r"""(?i)\b([a-z][a-z0-9+.-]*://)[^\s"'<>/?#@]*(?:@[^\s"'<>/?#@]*)*@"""), rf"\1{REDACTED}@"),
    # 40 or more characters of base64url of high variety: opaque tokens, codes, sealed values, keys.
    (re.compile(r"(?<![\w-])(?=[\w-]*[A-Z])(?=[\w-]*[a-z])[\w-]{40,}"), REDACTED),
)
_SECRET_FIELD: Final = re.compile(rf"(?i)(?:{_NAMED}|code|nonce|state|(?:set-)?cookies?|headers)")
_PLAIN_WORD: Final = re.compile(r"[a-z0-9_]{1,40}")  # an error code or one of our own constants, never a token


def redact(text: str) -> str:
    """`text` without anything that looks like a secret, cut at LIMIT characters."""
    if len(text) > LIMIT:
        text = f"{text[:LIMIT]}… ({len(text) - LIMIT} more characters)"
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact_field(name: str, value: str) -> str:
    """The value of a named field.

    A field with a secret's name is redacted, unless the value is a plain lower-case word.
    """
    if _SECRET_FIELD.fullmatch(name) and not _PLAIN_WORD.fullmatch(value):
        return REDACTED
    return redact(value)


def escape(text: str) -> str:
    """Escapes every character that a terminal or viewer would interpret:

    C0 and C1 controls, ANSI escapes, line separators, bidirectional marks (U+202E and similar), zero-width characters,
    lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    point = ord(char)
    if char in "\n\r\t":
        return {"\n": r"\n", "\r": r"\r", "\t": r"\t"}[char]
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
