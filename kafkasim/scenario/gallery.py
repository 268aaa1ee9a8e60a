"""The gallery: scenarios that come with the package, by theme (``primer/hello``).

In an installed wheel they are package data (``kafkasim/gallery``); in a checkout or an editable install they are the
directory ``scenarios`` beside the package.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import kafkasim
from kafkasim.scenario.errors import Mistake, ScenarioError, listed, nearest
from kafkasim.scenario.yaml_reader import read


@dataclass(frozen=True, slots=True)
class GalleryEntry:
    """A scenario of the gallery."""

    name: str
    """Theme and name, such as ``primer/hello``."""
    path: Path
    description: str


def directory() -> Path | None:
    """Where the gallery is, or None if there is none."""
    package = Path(kafkasim.__file__).resolve().parent
    for place in (package / "gallery", package.parent / "scenarios"):
        if place.is_dir():
            return place
    return None


def names() -> list[str]:
    """All names, sorted."""
    root = directory()
    if root is None:
        return []
    return sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.yaml"))


def entries() -> list[GalleryEntry]:
    """All scenarios with their descriptions, sorted by name."""
    root = directory()
    found = []
    for name in names() if root is not None else []:
        assert root is not None
        path = root / f"{name}.yaml"
        node = read(path.read_text("utf-8"), str(path)).value
        text = node["description"].value if isinstance(node, dict) and "description" in node else ""
        found.append(GalleryEntry(name, path, " ".join(str(text).split())))
    return found


def locate(reference: str) -> Path:
    """The file that a command's FILE means: a path, else a name of the gallery. :class:`ScenarioError` if neither."""
    path = Path(reference)
    try:
        if path.is_file():
            return path
    except (OSError, ValueError):
        pass
    root = directory()
    name = reference.removesuffix(".yaml").removesuffix(".yml")
    known = names()
    if root is not None and name in known:
        return root / f"{name}.yaml"
    if path.suffix in (".yaml", ".yml") and name.rpartition("/")[2] not in [n.rpartition("/")[2] for n in known]:
        raise ScenarioError([Mistake(reference, 0, 0, "", "there is no such file")])
    near = nearest(name, known) or next((n for n in known if n.rpartition("/")[2] == name.rpartition("/")[2]), None)
    message = "there is no such file, and no such scenario in the gallery"
    raise ScenarioError([Mistake(reference, 0, 0, "", message, allowed=listed(known), nearest=near)])
