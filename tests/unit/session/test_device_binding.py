"""What a binding requires of a request, and when a browser may register a key."""

import pytest

from bff.session.device_binding import UNDER_WAY, UNUSED, Binding, DeviceBinding, binding_state, may_register

NOW = 1_000_000.0


def a_binding(confirmed_at: float | None, registered_at: float = NOW) -> DeviceBinding:
    return DeviceBinding({"kty": "EC"}, "ES256", "thumbprint", registered_at, confirmed_at)


@pytest.mark.parametrize(
    ("binding", "state"),
    [
        (None, Binding.NONE),
        (a_binding(None), Binding.NONE),
        (a_binding(NOW), Binding.BEGINNING),
        (a_binding(NOW - UNDER_WAY + 1), Binding.BEGINNING),
        (a_binding(NOW - UNDER_WAY), Binding.ESTABLISHED),
    ],
)
def test_a_cookie_is_required_once_a_request_has_brought_it_and_older_ones_have_arrived(
    binding: DeviceBinding | None, state: Binding
) -> None:
    assert binding_state(binding, NOW) is state


@pytest.mark.parametrize(
    ("binding", "allowed"),
    [
        (None, True),
        (a_binding(None), False),
        (a_binding(None, NOW - UNUSED), True),
        (a_binding(NOW - 100, NOW - 1000), False),
    ],
)
def test_a_key_that_was_used_is_never_replaced(binding: DeviceBinding | None, allowed: bool) -> None:
    assert may_register(binding, NOW) is allowed
