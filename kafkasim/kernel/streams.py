"""Named random streams: one for each source of randomness.

A stream's seed is made of the root seed and the stream's name (through SHA-256 and
``numpy.random.SeedSequence``), so a stream draws the same numbers whatever other
streams exist: adding a consumer does not shift the network's draws, and two variants
of a scenario can be compared with common random numbers.
"""

from __future__ import annotations

import hashlib
from math import exp, log
from typing import Final

import numpy as np

BLOCK: Final = 256
"""Draws made at a time; part of a stream's definition."""


class Stream:
    """One stream of random numbers, drawn in blocks.

    ``generator`` is for callers that draw blocks themselves (arrivals); a stream is
    used either through it or through the scalar methods, not both.
    """

    def __init__(self, root_seed: int, name: str) -> None:
        digest = hashlib.sha256(name.encode()).digest()
        words = [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4)]
        self.name = name
        self.generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([root_seed, *words])))
        self._uniforms: list[float] = []
        self._normals: list[float] = []

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A float in [low, high)."""
        if not self._uniforms:
            block: list[float] = self.generator.random(BLOCK).tolist()
            block.reverse()
            self._uniforms = block
        return low + (high - low) * self._uniforms.pop()

    def exponential(self, mean: float) -> float:
        """An exponential draw with the given mean."""
        return -mean * log(1.0 - self.uniform())

    def integer(self, bound: int) -> int:
        """An integer in [0, bound)."""
        drawn = int(self.uniform() * bound)
        return drawn if drawn < bound else bound - 1

    def normal(self) -> float:
        """A standard normal draw."""
        if not self._normals:
            block: list[float] = self.generator.standard_normal(BLOCK).tolist()
            block.reverse()
            self._normals = block
        return self._normals.pop()

    def lognormal(self, median: float, p99: float) -> float:
        """A lognormal draw with the given median and 99th percentile (equal: constant)."""
        if p99 <= median:
            return median
        return median * exp(self.normal() * log(p99 / median) / 2.3263478740408408)

    def shuffled(self, count: int) -> list[int]:
        """A random order of 0 … count - 1 (Fisher and Yates)."""
        order = list(range(count))
        for i in range(count - 1, 0, -1):
            j = self.integer(i + 1)
            order[i], order[j] = order[j], order[i]
        return order


class Streams:
    """All streams of one run; asking twice for a name gives the same stream."""

    def __init__(self, root_seed: int) -> None:
        self.root_seed = root_seed
        self._streams: dict[str, Stream] = {}

    def stream(self, name: str) -> Stream:
        """The stream called ``name``, for instance ``producer/twitter-app/2/arrivals``."""
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = Stream(self.root_seed, name)
        return stream
