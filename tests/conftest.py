"""What all tests share: a run that means to test the compiled build refuses to test the sources instead."""

from __future__ import annotations

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    from kafkasim.kernel import build, scheduler

    expected = os.environ.get("KAFKASIM_EXPECT")
    if expected is not None and build() != expected:
        raise pytest.UsageError(f"KAFKASIM_EXPECT={expected}, but {scheduler.__file__} is {build()}")
