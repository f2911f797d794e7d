# SPDX-License-Identifier: GPL-2.0-only
"""The host's check of the device's memory: does it hold the pattern that the guest stored?"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from mmap import mmap

Memory = bytes | bytearray | memoryview | mmap

WORD = 8
MAX_SIZE = 1 << 20  # bytes of one check; a guest names the size, so there is a limit
MAX_WORDS = 1024  # damaged words that are classified
MAX_DAMAGE = 64  # ranges that are returned
_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Damage:
    """A range of `size` bytes at `offset` of the memory that does not hold what was stored.

    `kind` is one of
    lost (nothing was ever stored there: zeros, or all ones),
    stale (still the word of an older pattern, or the complement of the new one),
    torn (part of a word arrived),
    doubled (a store landed at its own place and here, where another store belongs),
    misplaced (the range holds what belongs `distance` bytes before),
    missing (the memory ends before), corrupt (none of these).
    """

    kind: str
    offset: int
    size: int
    want: bytes = b""  # of the first word
    got: bytes = b""
    distance: int = 0  # bytes from where the content belongs to where it is

    def __str__(self) -> str:
        text = f"{self.kind}: {self.size} bytes at {self.offset:#x}"
        if self.distance:
            text += f", moved by {self.distance:+d} bytes"
        if self.got:
            text += f" (holds {self.got.hex()}, stored was {self.want.hex()})"
        return text


def pattern_word(seed: int, index: int) -> int:
    """Return word `index` of a seed: splitmix64(seed + index), as guest-protocol.md defines it."""
    z = (seed + index + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def pattern(seed: int, size: int, fill: int = 0) -> bytes:
    """Return `size` bytes of the pattern; little-endian, the last word may be cut.

    With `fill`, each block of `fill` bytes repeats its first byte.
    """
    count = -(-size // WORD)
    words = struct.pack(f"<{count}Q", *(pattern_word(seed, i) for i in range(count)))
    if fill:
        words = b"".join(words[at : at + 1] * fill for at in range(0, len(words), fill))
    return words[:size]


def check_pattern(
    data: Memory, offset: int, size: int, seed: int, older: Sequence[int] = (), fill: int = 0
) -> list[Damage]:
    """Return the damage in bytes [offset, offset + size) of `data`; [] when they are as stored.

    `older` are the seeds of patterns that may have stood at the same place before, `fill` is as
    for pattern(). Raise ValueError for figures that are negative or more than MAX_SIZE.
    """
    if offset < 0 or not 0 <= size <= MAX_SIZE or not 0 <= fill <= MAX_SIZE:
        raise ValueError(f"cannot check {size} bytes at {offset}: at most {MAX_SIZE} at a time")
    present = max(0, min(size, len(data) - offset))
    got, want = bytes(data[offset : offset + present]), pattern(seed, present, fill)
    damages = []
    if got != want:
        plain = [pattern(seed, present)] if fill else []
        before = [pattern(s, present) for s in older]
        before += [bytes(~b & 0xFF for b in stored) for stored in (want, *plain)]
        words = islice(_damaged_words(got, want, before), MAX_WORDS)
        damages = list(islice(_merged(words, offset), MAX_DAMAGE))
    if present < size:
        damages.append(Damage("missing", offset + present, size - present))
    return damages


def _damaged_words(got: bytes, want: bytes, before: list[bytes]) -> Iterator[Damage]:
    for at in range(0, len(want), WORD):
        have, should = got[at : at + WORD], want[at : at + WORD]
        if have != should:
            kind, distance = _kind(at, got, want, before)
            yield Damage(kind, at, len(should), should, have, distance)


def _kind(at: int, got: bytes, want: bytes, before: list[bytes]) -> tuple[str, int]:
    """Return the kind of damage of the word at `at`, and how far its content has moved (bytes)."""
    have, should = got[at : at + WORD], want[at : at + WORD]
    fills = [bytes(len(have)), b"\xff" * len(have)]
    if have in fills:
        return "lost", 0
    if any(old[at : at + WORD] == have for old in before):
        return "stale", 0
    home = _home(at, have, want) if len(have) > 2 else -1
    if home >= 0:
        # Where its own place holds the content as well, the store happened twice.
        stored_twice = got[home : home + len(have)] == have
        return "doubled" if stored_twice else "misplaced", at - home
    arrived = sum(a == b for a, b in zip(have, should, strict=True))
    rest = fills + [old[at : at + WORD] for old in before]
    patched = any(
        all(h in (s, o) for h, s, o in zip(have, should, old, strict=True)) for old in rest
    )
    if arrived and (patched or 2 * arrived >= len(have)):
        return "torn", 0
    return "corrupt", 0


def _home(at: int, have: bytes, want: bytes) -> int:
    """Return where `have` belongs: the last offset before `at`, else the first behind, or -1."""
    before = want.rfind(have, 0, at + len(have) - 1)
    return before if before >= 0 else want.find(have, at)


def _merged(words: Iterator[Damage], base: int) -> Iterator[Damage]:
    """Yield neighbours of one kind as one range, with offsets from the start of the memory."""
    run: Damage | None = None
    for damage in words:
        if run and (run.kind, run.distance, run.offset + run.size) == (
            damage.kind,
            damage.distance,
            damage.offset,
        ):
            run = replace(run, size=run.size + damage.size)
            continue
        if run:
            yield replace(run, offset=run.offset + base)
        run = damage
    if run:
        yield replace(run, offset=run.offset + base)
