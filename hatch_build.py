"""Build hook: prepares the opt-in compiled build (``HATCH_BUILD_HOOK_ENABLE_MYPYC=1``).

The two builds must give the same bytes, so the C compiler may not contract a multiplication and an addition into one
rounding. Runs before the mypyc hook, which hands the environment to the compiler.
"""

from __future__ import annotations

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FLAG = "-ffp-contract=off"


class CompilerFlags(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the flag to ``CFLAGS``; a pure build is not touched by it."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before the build of a wheel."""
        flags = os.environ.get("CFLAGS", "").split()
        if os.name == "posix" and FLAG not in flags:
            os.environ["CFLAGS"] = " ".join([*flags, FLAG])
