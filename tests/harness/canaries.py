"""The real secrets of a journey, gathered from whoever holds them, and the forms in which one could be written down."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, quote, quote_plus, urlsplit

from bff.base64url import decode_base64url
from bff.session.keyring import KeyRing
from bff.session.login_transaction import LoginTransaction, open_transaction
from bff.storage.open import open_store
from tests.harness.http_browser import Browser

SHORTEST = 16  # characters: every secret is longer, so that no word of a log line is taken for one


@dataclass
class Canaries:
    """Secrets by what they are; `gather` may be called at every step, since secrets are rotated."""

    environ: dict[str, str]
    known: dict[str, set[str]] = field(default_factory=dict)

    def add(self, what: str, *secrets: str | None) -> None:
        for secret in secrets:
            if secret:
                assert len(secret) >= SHORTEST, what
                self.known.setdefault(what, set()).add(secret)

    async def gather(self, *browsers: Browser) -> None:
        self.add("client secret", self.environ["BFF_CLIENT_SECRET"])
        self.add("key", *self.environ["BFF_SESSION_KEYS"].split())
        for browser in browsers:
            self._from_browser(browser)
        await self._from_store()

    def add_files(self, files: Mapping[str, str]) -> None:
        """The secrets of a deployment, by the name and the content of each file; a file without one fails."""
        for name, content in files.items():
            words = content.split()
            assert words, f"{name} holds no secret"
            self.add(name, *words, *(urlsplit(word).password for word in words if "://" in word))

    def _ring(self) -> KeyRing:
        keys = (decode_base64url(key) for key in self.environ["BFF_SESSION_KEYS"].split())
        return KeyRing.from_keys([key for key in keys if key is not None])

    def _from_browser(self, browser: Browser) -> None:
        for response in browser.seen:
            for line in response.headers.get_list("set-cookie"):
                name, _, value = line.partition(";")[0].partition("=")
                if name.startswith("bff-"):
                    self.add("cookie", value)
                if name.startswith("bff-login-") and value:
                    opened = open_transaction(value, int(name.removeprefix("bff-login-"), 16), self._ring())
                    assert isinstance(opened, LoginTransaction)
                    self.add("verifier", opened.code_verifier)
            for url in (str(response.request.url), response.headers.get("location", "")):
                query = parse_qs(urlsplit(url).query)
                for name in ("code", "state", "nonce", "id_token_hint", "ticket"):
                    self.add(name, *(value for value in query.get(name, []) if len(value) >= SHORTEST))

    async def _from_store(self) -> None:
        """Reads the sealed records as an attacker with the keys could."""
        path = Path(self.environ["BFF_STORE"].removeprefix("sqlite:///"))
        store = open_store(f"sqlite:///{path}", self._ring())
        try:
            for person in ("00u1aliceliddell0001", "00u2bobcratchit00002"):
                for session in await store.find("sub", person):
                    self.add("access token", session.tokens.access_token)
                    self.add("refresh token", session.tokens.refresh_token)
                    self.add("ID token", session.tokens.id_token)
                    self.add("DPoP key", session.dpop_key)
        finally:
            await store.close()

    def found_in(self, text: str) -> list[str]:
        """What stands in `text`, by its kind: never the secret itself, which must not end up in a test's output."""
        return [
            f"{what} as {form}"
            for what, secrets in self.known.items()
            for secret in secrets
            for form, written in forms(secret)
            if written in text
        ]


def forms(secret: str) -> Iterator[tuple[str, str]]:
    yield "it is", secret
    yield "URL-encoded", quote(secret, safe="")
    yield "form-encoded", quote_plus(secret)
    yield "URL-encoded twice", quote(quote(secret, safe=""), safe="")
    data = secret.encode()
    for shift in range(3):
        # Wherever it stood in what was encoded: whole groups of three bytes after that offset are always the same.
        whole = data[shift:][: (len(data) - shift) // 3 * 3]
        yield f"base64 after {shift}", b64encode(whole).decode()
        yield f"base64url after {shift}", urlsafe_b64encode(whole).decode()
    yield "hex", data.hex()
    if secret.count(".") == 2:  # a JWT: its signature alone is enough to be somebody's
        yield "its signature", secret.rpartition(".")[2]
        yield "its payload", secret.split(".")[1]
    yield "its first half", secret[: max(SHORTEST, len(secret) // 2)]
