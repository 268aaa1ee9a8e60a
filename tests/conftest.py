"""What all tests share: a run that means to test the compiled build refuses to test the sources instead."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# The same examples every time, no deadline on a busy machine; HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


def pytest_configure(config: pytest.Config) -> None:
    from kafkasim.kernel import build, scheduler

    expected = os.environ.get("KAFKASIM_EXPECT")
    if expected is not None and build() != expected:
        raise pytest.UsageError(f"KAFKASIM_EXPECT={expected}, but {scheduler.__file__} is {build()}")
