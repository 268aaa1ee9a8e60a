"""What this installation is: version and build."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def package_version() -> str:
    """The installed version; ``0+unknown`` when run from a tree that is not installed."""
    try:
        return version("kafkasim")
    except PackageNotFoundError:
        return "0+unknown"


def build() -> str:
    """``pure Python`` or ``compiled``."""
    try:
        from kafkasim.kernel import build as kernel_build
    except ImportError:
        return "pure Python"
    return kernel_build()


def about() -> str:
    """One line: ``kafkasim 0.1.0 (pure Python)``."""
    return f"kafkasim {package_version()} ({build()})"
