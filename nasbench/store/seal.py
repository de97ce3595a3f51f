"""A digest inside a parquet file, over all of it.

Parquet's own checksums cover the data pages and not the footer, so a flipped bit there can rename a column or change a
unit without a word. The seal lies between the last page and the footer. Parquet finds everything by its distance from
the start or the end of the file, so every reader reads a sealed file as any other.
"""

from __future__ import annotations

import hashlib

_MARK = b"nasbench.seal.1:"
_SIZE = len(_MARK) + hashlib.sha256().digest_size
_END = 8  # four bytes of footer length and the letters PAR1


def seal(data: bytes) -> bytes:
    """Put the seal into a parquet file."""
    at = len(data) - _END - _footer_size(data)
    pages, footer = data[:at], data[at:]
    return b"".join((pages, _MARK, _digest(pages, footer), footer))


def broken_seal(data: bytes) -> str | None:
    """Say what is wrong with a sealed file, or None."""
    if len(data) < _SIZE + 2 * _END or data[-4:] != b"PAR1":
        return "its end is missing"
    at = len(data) - _END - _footer_size(data) - _SIZE
    if at < 0 or data[at : at + len(_MARK)] != _MARK:
        return "its seal is missing"
    if data[at + len(_MARK) : at + _SIZE] != _digest(data[:at], data[at + _SIZE :]):
        return "its content is not what was written"
    return None


def _footer_size(data: bytes) -> int:
    return int.from_bytes(data[-8:-4], "little")


def _digest(pages: bytes, footer: bytes) -> bytes:
    digest = hashlib.sha256(pages)
    digest.update(footer)
    return digest.digest()
