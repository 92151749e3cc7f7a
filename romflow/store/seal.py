"""The seal of a file: its last 73 bytes hold the SHA-256 of all bytes before them.

HDF5 readers ignore bytes behind the end that the file's own header names, so a sealed file opens in any of them, and a
seal covers every byte, the unused ones between HDF5 objects too. Without romflow: ``head -c -73 file | sha256sum``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import BinaryIO

__all__ = ["SEAL_LENGTH", "Damaged", "check_seal", "image_digest", "seal_digest", "sealed"]

_MARK = b"\nsha256 "
SEAL_LENGTH = len(_MARK) + 65
_BLOCK = 1 << 20


class Damaged(Exception):
    """A file does not hold what its writer wrote, or is no file of this kind; the text is the reason, a clause."""


def sealed(parts: Sequence[bytes | memoryview]) -> bytes:
    """`parts` one after the other, and the seal.

    Examples
    --------
    >>> sealed([b"a", b"b"])[:12]
    b'ab\\nsha256 fb'
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return b"".join([*parts, _MARK, digest.hexdigest().encode(), b"\n"])


def check_seal(stream: BinaryIO) -> None:
    """Raise unless the seal at the end of an open file holds; reads through one buffer of at most 1 MiB.

    Parameters
    ----------
    stream : binary file
        Unbuffered (``open(path, "rb", buffering=0)``), at any position.

    Raises
    ------
    Damaged
        The file has no seal at its end, or other bytes than those that were sealed.
    """
    left = os.fstat(stream.fileno()).st_size - SEAL_LENGTH
    if left < 0:
        raise Damaged(f"it has {left + SEAL_LENGTH} bytes, which is too few")
    stream.seek(left)
    seal = stream.read(SEAL_LENGTH)
    if not (seal.startswith(_MARK) and seal.endswith(b"\n")):
        raise Damaged("it has no checksum at its end: it was cut off, edited, or not written by romflow")
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(min(left, _BLOCK)))
    stream.seek(0)
    while left:
        count = stream.readinto(buffer[:left])  # type: ignore[attr-defined]
        if not count:
            raise Damaged("it became shorter while it was read")
        digest.update(buffer[:count])
        left -= count
    if digest.hexdigest().encode() != seal[len(_MARK) : -1]:
        raise Damaged("its checksum does not hold: some of its bytes were altered")


def seal_digest(stream: BinaryIO) -> str:
    """The SHA-256 in the seal of an open file whose seal holds."""
    stream.seek(os.fstat(stream.fileno()).st_size - SEAL_LENGTH)
    return stream.read(SEAL_LENGTH)[len(_MARK) : -1].decode("ascii")


def image_digest(image: bytes) -> str:
    """The SHA-256 in the seal at the end of the bytes of a sealed file.

    Examples
    --------
    >>> image_digest(sealed([b"ab"]))[:8]
    'fb8e20fc'
    """
    return image[-SEAL_LENGTH:][len(_MARK) : -1].decode("ascii")
