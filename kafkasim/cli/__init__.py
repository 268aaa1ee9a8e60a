"""The command line: one thin file a command. Nothing heavy is imported before a command needs it.

Exit codes: 0 fine, 1 an expectation failed, 2 the scenario (or the call) is wrong, 70 a bug.
"""

from __future__ import annotations

from kafkasim.cli.app import app, main

__all__ = ["app", "main"]
