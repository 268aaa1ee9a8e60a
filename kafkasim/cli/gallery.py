"""``kafkasim list``: the gallery."""

from __future__ import annotations


def list_gallery() -> None:
    """List the scenarios that come with kafkasim; `kafkasim run NAME` runs one."""
    from kafkasim.scenario.gallery import entries

    found = entries()
    width = max((len(entry.name) for entry in found), default=0)
    for entry in found:
        print(f"{entry.name:<{width}}  {entry.description}".rstrip())
