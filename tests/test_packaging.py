"""What gets installed: the gallery, the catalogue of configs, the template, in the wheel and in the checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import kafkasim
from kafkasim.scenario import Scenario, gallery

ROOT = Path(__file__).parents[1]
MAIN = "from kafkasim.cli import main; main()"
IN_CHECKOUT = (ROOT / "kafkasim").is_dir()
DATA = ["*.csv", "*.html", "py.typed"]

if not IN_CHECKOUT:
    pytest.skip("the sources are elsewhere", allow_module_level=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pure wheel of this tree; built without isolation, so that nothing is downloaded."""
    pytest.importorskip("hatchling")
    out = tmp_path_factory.mktemp("wheel")
    program = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HATCH_BUILD")}
    done = subprocess.run(
        [sys.executable, "-c", program, str(out)],
        check=False,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return built


def test_a_checkout_finds_the_gallery_beside_the_package() -> None:
    assert Path(kafkasim.__file__).is_relative_to(ROOT)
    assert gallery.directory() == ROOT / "scenarios"
    assert "primer/hello" in gallery.names()
    assert gallery.names() == sorted(
        path.relative_to(ROOT / "scenarios").with_suffix("").as_posix() for path in (ROOT / "scenarios").rglob("*.yaml")
    )


def test_the_wheel_is_pure_and_carries_all_data(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    sources = {
        p.relative_to(ROOT).as_posix() for pattern in ["*.py", *DATA] for p in (ROOT / "kafkasim").rglob(pattern)
    }
    assert not sources - names
    scenarios = {
        f"kafkasim/gallery/{p.relative_to(ROOT / 'scenarios').as_posix()}" for p in (ROOT / "scenarios").rglob("*.yaml")
    }
    assert scenarios
    assert not scenarios - names
    assert not {name for name in names if name.startswith(("tests/", "benchmarks/", "docs/", "hatch_build"))}
    assert any(re.fullmatch(r"kafkasim-[^/]*\.dist-info/licenses/LICENSE", name) for name in names)


def test_an_installed_wheel_lists_validates_and_knows_its_version(wheel: Path, tmp_path: Path) -> None:
    """Unpacked where pip would put it and first on the path: nothing of the checkout is in sight."""
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)

    def kafkasim_command(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", MAIN, *arguments],
            cwd=tmp_path,
            check=False,
            env={**os.environ, "PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = subprocess.run(
        [sys.executable, "-c", "import kafkasim; from kafkasim.scenario import gallery; print(gallery.directory())"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.strip() == str(site / "kafkasim" / "gallery")
    listed = kafkasim_command("list")
    for name in gallery.names():
        assert name in listed
    kafkasim_command("validate", "primer/hello")
    assert kafkasim_command("--version").startswith("kafkasim 0.")


def test_every_scenario_of_the_gallery_loads() -> None:
    for name in gallery.names():
        scenario = Scenario.load(gallery.locate(name))
        assert scenario.name == name.rpartition("/")[2]


def test_version_is_said_once() -> None:
    """pyproject.toml holds the version; the changelog's newest entry is about it."""
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.M)
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert version is not None
    assert newest is not None
    assert version[1] == newest[1]
