"""Repairs the superblock of an HDF5 file whose writer was killed, so that HDF5 can open it.

Layout of superblock versions 2 and 3: https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html, "Disk
Format: Level 0A". 48 bytes if offsets take 8 bytes: signature 8, version 1, sizes 2, consistency flags 1, four
addresses 32, checksum 4.
"""

import os
import struct
from typing import BinaryIO

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_LENGTH = 48
_FLAGS = 11
_END = 28  # offset of the end-of-file address
_LAYOUT_LIMIT = 1 << 20  # bytes; far more than an episode without rows has
_MISSING_LIMIT = 64 << 20  # bytes; more than one interrupted flush leaves out
_MASK = 0xFFFFFFFF


def is_truncated(file: BinaryIO) -> bool:
    """True if the file ends within the empty layout, which is written before the first row: it has no row."""
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    block = file.read(_LENGTH)
    if size < _LENGTH:
        return SIGNATURE.startswith(block[:8])
    closed = block[:9] == SIGNATURE + b"\x03" and block[_FLAGS] == 0
    return bool(closed and size < _LAYOUT_LIMIT and size < struct.unpack_from("<Q", block, _END)[0])


def clear_write_flag(file: BinaryIO) -> bool:
    """Clear the "being written" flags in place; False if it is not a version 3 superblock, as ebt writes.

    A write that failed (a full disk) leaves a file shorter than its superblock says, which HDF5 rejects: such a file is
    extended with zeros. SWMR's order of writes ensures that no complete row is in the extended part.
    """
    file.seek(0)
    block = bytearray(file.read(_LENGTH))
    if len(block) < _LENGTH or block[:8] != SIGNATURE or block[8] != 3 or block[9] != 8:
        return False
    if struct.unpack_from("<I", block, _LENGTH - 4)[0] != lookup3(bytes(block[:-4])):
        return False
    end = struct.unpack_from("<Q", block, _END)[0]
    size = os.fstat(file.fileno()).st_size
    if size < end <= size + _MISSING_LIMIT:
        file.truncate(end)
    if block[_FLAGS] == 0:
        return True
    block[_FLAGS] = 0
    struct.pack_into("<I", block, _LENGTH - 4, lookup3(bytes(block[:-4])))
    file.seek(0)
    file.write(block)  # one sector: a disk writes it whole or not at all
    file.flush()
    return True


def lookup3(data: bytes) -> int:
    """Bob Jenkins' lookup3 `hashlittle` with seed 0, HDF5's checksum: http://burtleburtle.net/bob/c/lookup3.c."""
    a = b = c = (0xDEADBEEF + len(data)) & _MASK
    length = max(len(data) - 1, 0) // 12 * 12
    for start in range(0, length, 12):
        x, y, z = struct.unpack_from("<III", data, start)
        a, b, c = _mix((a + x) & _MASK, (b + y) & _MASK, (c + z) & _MASK)
    rest = data[length:]
    if not rest:
        return c
    x, y, z = struct.unpack("<III", rest.ljust(12, b"\0"))
    return _final((a + x) & _MASK, (b + y) & _MASK, (c + z) & _MASK)


def _rotate(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & _MASK


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    a = ((a - c) & _MASK) ^ _rotate(c, 4)
    c = (c + b) & _MASK
    b = ((b - a) & _MASK) ^ _rotate(a, 6)
    a = (a + c) & _MASK
    c = ((c - b) & _MASK) ^ _rotate(b, 8)
    b = (b + a) & _MASK
    a = ((a - c) & _MASK) ^ _rotate(c, 16)
    c = (c + b) & _MASK
    b = ((b - a) & _MASK) ^ _rotate(a, 19)
    a = (a + c) & _MASK
    c = ((c - b) & _MASK) ^ _rotate(b, 4)
    b = (b + a) & _MASK
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    c = ((c ^ b) - _rotate(b, 14)) & _MASK
    a = ((a ^ c) - _rotate(c, 11)) & _MASK
    b = ((b ^ a) - _rotate(a, 25)) & _MASK
    c = ((c ^ b) - _rotate(b, 16)) & _MASK
    a = ((a ^ c) - _rotate(c, 4)) & _MASK
    b = ((b ^ a) - _rotate(a, 14)) & _MASK
    return ((c ^ b) - _rotate(b, 24)) & _MASK
