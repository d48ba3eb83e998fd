"""A browser with DBSC, as a client that signs: it sends to the two routes what Chromium sends."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from tests.harness.asgi_call import Response
from tests.harness.minting import PrivateKey, jwk, mint
from tests.harness.web_parts import Browser

REGISTRATION = "/auth/device-binding/registration"
REFRESH = "/auth/device-binding/refresh"
_OFFER = re.compile(r'\(ES256 RS256\);path="([^"]+)";challenge="([^"]+)";authorization="([^"]+)"')
_CHALLENGE = re.compile(r'"([^"]+)";id="([^"]+)"')


@dataclass
class Device:
    """Registers one key for the session of `browser`, and renews its bound cookie on request."""

    browser: Browser
    key: PrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    alg: str = "ES256"
    challenge: str = ""
    id: str = ""
    bound: str = "__Host-bff-bound"

    def sign(self, claims: dict[str, Any], *, with_key: bool = False, **header: Any) -> str:
        own = {"jwk": jwk(self.key, kid=None)} if with_key else {}
        members = {"alg": self.alg, "typ": "dbsc+jwt", **own, **header}
        return mint(claims, members, key=self.key, alg=self.alg)

    async def offer(self) -> tuple[str, str] | None:
        """Challenge and authorization of the page's own fetch; None if there is no offer."""
        value = (await self.browser.fetch("GET", "/auth/session")).one("secure-session-registration")
        if value is None:
            return None
        found = _OFFER.fullmatch(value)
        assert found is not None, value
        assert found[1] == REGISTRATION
        return found[2], found[3]

    async def register(self, offer: tuple[str, str] | None = None) -> Response:
        offer = offer or await self.offer()
        assert offer is not None
        proof = self.sign({"jti": offer[0], "authorization": offer[1]}, with_key=True)
        response = await self.browser.send("POST", REGISTRATION, f"secure-session-response: {proof}")
        if response.status == 200:
            self.id = json.loads(response.body)["session_identifier"]
            self.take_challenge(response)
        return response

    async def refresh(self, *, proof: str | None = None, without: str = "bound") -> Response:
        """With the proof for the latest challenge; "" for none."""
        proof = self.sign({"jti": self.challenge}) if proof is None else proof
        lines = [f"sec-secure-session-id: {self.id}", *([f"secure-session-response: {proof}"] if proof else [])]
        response = await self.browser.send("POST", REFRESH, *lines, without=without)
        self.take_challenge(response)
        return response

    def take_challenge(self, response: Response) -> None:
        if (value := response.one("secure-session-challenge")) is not None:
            found = _CHALLENGE.fullmatch(value)
            assert found is not None, value
            assert found[2] == self.id
            self.challenge = found[1]


async def bound(browser: Browser, **more: Any) -> Device:
    """Signs the browser in, and binds the session: its bound cookie has been seen once."""
    await browser.sign_in()
    device = Device(browser, **more)
    assert (await device.register()).status == 200
    assert (await browser.session())["device_bound"]
    return device
