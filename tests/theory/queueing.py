"""Closed forms of queueing theory, and confidence intervals from replications.

``lam`` is the arrival rate (1/s), ``service_s`` the mean service.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial

import numpy as np
from scipy import stats


def erlang_c(channels: int, offered: float) -> float:
    """The probability that a customer of M/M/c has to wait; ``offered`` = lam x service_s."""
    queued = offered**channels / factorial(channels) * channels / (channels - offered)
    return queued / (sum(offered**k / factorial(k) for k in range(channels)) + queued)


def wait_m_m_c(lam: float, service_s: float, channels: int) -> float:
    """Mean wait in the queue of M/M/c (Erlang)."""
    offered = lam * service_s
    return erlang_c(channels, offered) * service_s / (channels - offered)


def wait_m_g_1(lam: float, service_s: float, squared_variation: float) -> float:
    """Mean wait in the queue of M/G/1 (Pollaczek and Khinchine); M/D/1 has no variation, M/M/1 has 1."""
    rho = lam * service_s
    return rho * service_s * (1.0 + squared_variation) / (2.0 * (1.0 - rho))


def wait_m_d_c(lam: float, service_s: float, channels: int) -> float:
    """Mean wait in the queue of M/D/c (Crommelin): a service later there is what could not begin, and the new."""
    size = 400
    arrivals = stats.poisson.pmf(np.arange(size), lam * service_s)
    step = np.zeros((size, size))
    for present in range(size):
        left = max(present - channels, 0)
        step[present, left:] = arrivals[: size - left]
        step[present, -1] += 1.0 - step[present].sum()
    equations = np.vstack([step.T - np.eye(size), np.ones(size)])
    law = np.linalg.lstsq(equations, np.concatenate([np.zeros(size), [1.0]]), rcond=None)[0]
    return float(law @ np.arange(size)) / lam - service_s


def interval(means: Sequence[float], level: float = 0.99) -> tuple[float, float]:
    """The confidence interval of the mean of independent replications (Student)."""
    half = stats.t.ppf((1 + level) / 2, len(means) - 1) * np.std(means, ddof=1) / np.sqrt(len(means))
    return float(np.mean(means) - half), float(np.mean(means) + half)


def assert_agrees(means: Sequence[float], expected: float, precision: float = 0.06) -> None:
    """``expected`` lies in the interval of the replications, and the interval is narrow enough to mean something."""
    low, high = interval(means)
    assert high - low < 2 * precision * expected, f"[{low}, {high}] is too wide to say anything about {expected}"
    assert low <= expected <= high, f"{expected} is not in [{low}, {high}]"
