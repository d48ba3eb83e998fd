"""The test kit for applications with a BFF installed: a fake provider, fake upstreams and a client that signs in.

Owns: a pytest plugin, which `pytest_plugins = ["bff.testing"]` in your conftest.py loads (docs/fastapi.md).
Does not own: the simulated Okta of the demo, which shares no code with the product. `bff serve` imports none of this.
"""

pytest_plugins = ("bff.testing.plugin",)
