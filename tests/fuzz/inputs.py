# Makes what a parser wants out of the bytes that a fuzzer gives, and the other way round for seeds.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import os

# Between two parts of an input. The bytes are in no format that is parsed here.
SEPARATOR = b"\xf7\xf7"
_REPEAT = b"\xf6"
# The longest text that repetition makes. The engine tries many short ones, and some that are as long as a file may be.
LONGEST = int(os.environ.get("FUZZ_LONGEST", 64 * 1024))


def join(*parts):
    """Return the input (bytes) that consists of these parts (bytes)."""
    return SEPARATOR.join(parts)


def split(data, count):
    """Return exactly `count` parts (list of bytes) of an input; those that are missing are empty."""
    parts = data.split(SEPARATOR, count - 1)
    return parts + [b""] * (count - len(parts))


def repeated(data):
    """Return the bytes with repetitions spelt out, at most LONGEST of them.

    A fuzzer's inputs are short, but what takes long on long lines must show: 0xf6, a length, a count, and then so many
    bytes are meant (count + 1) * 64 times.
    """
    found, rest = [], data
    size = 0
    while rest and size < LONGEST:
        plain, mark, rest = rest.partition(_REPEAT)
        found.append(plain)
        if mark and len(rest) >= 2:
            length, count = rest[0], rest[1]
            found.append(rest[2 : 2 + length] * ((count + 1) * 64))
            rest = rest[2 + length :]
        size = sum(map(len, found))
    return b"".join(found)[:LONGEST]


def times(piece, count):
    """Return the input (bytes) of which repeated() makes `piece` (at most 255 bytes) about `count` times."""
    return _REPEAT + bytes(bytearray([len(piece), min(255, max(0, count // 64 - 1))])) + piece


def text(data):
    """Return bytes as the target makes text of them (str)."""
    return data.decode("utf-8", "replace")
