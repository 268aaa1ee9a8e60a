"""docs/model.md says of costs and releases what the package has; links between pages lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kafkasim.scenario.costs import cost_docs
from kafkasim.scenario.model import HostSpec, NetworkSpec
from kafkasim.scenario.versions import accepted_text

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "model.md").read_text(encoding="utf-8")
UNITS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}


def test_costs():
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("| `")]
    known = cost_docs()
    found = {}
    for name, default, source, meaning in (row for row in rows if len(row) == 4 and row[0].strip("`") in known):
        number, unit = default.split()
        found[name.strip("`")] = (pytest.approx(float(number) * UNITS[unit], rel=1e-3), source, meaning)
    assert found == known


def test_machines():
    host, network = HostSpec(), NetworkSpec()
    assert f"{host.cores}, {host.memory_bytes >> 30} GiB" in PAGE
    assert f"{host.nic_bytes_per_s * 8 / 1e9:g} Gbit/s" in PAGE
    assert f"{host.disk.fsync_p50_s * 1e3:g} ms median, {host.disk.fsync_p99_s * 1e3:g} ms at 99 %" in PAGE
    near, far = network.same_rack.latency_s * 1e6, network.cross_rack.latency_s * 1e6
    assert f"{near:g} µs in a rack, {far:g} µs between" in PAGE
    assert f"`start_up` | {host.start_up_s:g} s" in PAGE
    assert f"`restart_delay` | {host.restart_delay_s:g} s" in PAGE


def test_releases():
    assert f"Accepted releases: {accepted_text()}," in PAGE


def test_links_lead_somewhere():
    broken = []
    for page in [*DOCS.glob("*.md"), DOCS.parent / "notebooks" / "README.md", DOCS.parent / "reports" / "README.md"]:
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if not link.startswith("http") and not (page.parent / link).exists():
                broken.append(f"{page.name}: {link}")
    assert broken == []


def test_every_switch_of_a_broker_is_in_the_table():
    from kafkasim.broker.release import BrokerRelease

    table = PAGE[PAGE.index("## What a version changes") : PAGE.index("## Left out")]
    switches = vars(BrokerRelease((3, 9, 1)))
    assert len(switches) >= 10
    assert [name for name in switches if f"`{name}`" not in table] == []


def test_the_table_of_versions_names_files_that_exist_and_goes_up():
    table = PAGE[PAGE.index("## What a version changes") : PAGE.index("## Left out")]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("| ")]
    bounds = [tuple(int(part) for part in row[0].split(".")) for row in rows if row[0][0].isdigit()]
    assert bounds == sorted(bounds) and len(bounds) > 20
    files = set(re.findall(r"`([a-z_]+/[a-z_]+\.py)`", table))
    assert [file for file in sorted(files) if not (DOCS.parent / "kafkasim" / file).exists()] == []
