"""RSA keys of vulnerable hardware (ROCA, CVE-2017-15361): they can be factored, so anybody could sign with them.

The primes of such a key are k * M + (65537 ** a mod M), where M is a product of small primes. So is the modulus: modulo
each of the small primes it is a power of 65537, which for another key is as good as impossible.
"""

from typing import Final

_GENERATOR: Final = 65537
# Those of the primes up to 167 whose group 65537 does not generate: only these distinguish a vulnerable key.
_PRIMES: Final = tuple(
    prime for prime in range(3, 168) if all(prime % divisor for divisor in range(2, prime)) and _GENERATOR % prime
)


def _powers(prime: int) -> frozenset[int]:
    return frozenset(pow(_GENERATOR, exponent, prime) for exponent in range(prime - 1))


_POWERS: Final = {prime: powers for prime in _PRIMES if len(powers := _powers(prime)) < prime - 1}


def is_roca_modulus(modulus: int) -> bool:
    """Whether an RSA modulus has the mark of a vulnerable key."""
    return all(modulus % prime in powers for prime, powers in _POWERS.items())
