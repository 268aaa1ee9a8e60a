"""The summary of a finished run, or of several, on one screen of a terminal.

At most 40 lines of 100 columns, the same for the same result: no wall clock, no width of the terminal. Expectations
that failed, identities that do not hold and losses come out whatever else must give way.

Left out: anything that the page and the tables tell better (what happened over time, single clients and brokers).
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from kafkasim.report import anomalies, words
from kafkasim.report.reading import Reading, Row, mapping, read, real, rows, whole
from kafkasim.report.words import NONE, clean
from kafkasim.results import Result, headline

if TYPE_CHECKING:
    from rich.console import Console

COLUMNS: Final = 100
LINES: Final = 40
Where = str | PathLike[str] | None
KINDS: Final = ("produce", "commit", "end_to_end")
PERCENTILES: Final = ("p50_s", "p90_s", "p99_s", "p999_s", "p9999_s", "max_s")


def print_summary(console: Console, result: Result, directory: Where = None) -> None:
    """Print one run's summary; ``directory``: where its files are."""
    _print(console, summary_lines(result, directory))


def print_summaries(console: Console, results: Sequence[Result], directory: Where = None) -> None:
    """Print what several runs (seeds) of one scenario say together."""
    _print(console, headline_lines(results, directory))


def _print(console: Console, lines: list[Text]) -> None:
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False, emoji=False)


def summary_lines(result: Result, directory: Where = None) -> list[Text]:
    """The lines of one run's summary."""
    reading = read(result)
    head = [_title(reading)]
    tail = [*_alarms(reading), *_expectations(reading), *_warnings(reading)]
    if directory is not None:
        tail.append(Text.assemble(("written to ", "dim"), clean(directory, 400)))
    room = LINES - len(head) - len(tail)
    blocks = [
        _throughput(reading, 4),
        _latency(reading, 9),
        _outages(reading, 6),
        _ledger(reading),
        _anomalies(reading),
        _stations(reading, 3),
    ]
    # The tables give way first where lines are short.
    for most, maker in ((2, _throughput), (3, _latency), (2, _outages)):
        if sum(map(len, blocks)) <= room:
            break
        blocks[(_throughput, _latency, _outages).index(maker)] = maker(reading, most)
    body = [line for block in blocks for line in block][:room]
    lines = [*head, *body, *tail]
    return [_fitted(line) if line is not lines[-1] or directory is None else line for line in lines]


def _fitted(line: Text) -> Text:
    if cell_len(line.plain) > COLUMNS:
        line.truncate(COLUMNS, overflow="ellipsis")
    return line


def _title(reading: Reading) -> Text:
    manifest = reading.result.manifest
    parts = [f"seed {reading.seed}", f"{words.seconds(reading.duration_s)} simulated"]
    if reading.warmup_s > 0.0:
        parts.append(f"warm-up {words.seconds(reading.warmup_s)}")
    version, build = manifest.get("kafkasim"), manifest.get("build")
    if version:
        parts.append(f"kafkasim {clean(version)}{f' ({clean(build)})' if build else ''}")
    return Text.assemble((clean(reading.name, 60), "bold"), (", " + ", ".join(parts), "dim"))


def _heading(name: str, columns: str = "") -> Text:
    return Text.assemble((name, "bold cyan"), (columns, "dim"))


def _left(text: object, width: int) -> str:
    """A name in a column of ``width`` cells."""
    name = clean(text)
    if cell_len(name) > width:
        name = set_cell_size(name, width - 1).rstrip() + "…"
    return set_cell_size(name, width)


def _throughput(reading: Reading, most: int) -> list[Text]:
    found = rows(reading.summary.get("throughput"))
    titles = ("records in", "bytes in", "records out", "bytes out")
    lines = [_heading(_left("throughput", 36), "".join(f"{title:>16}" for title in titles))]
    for row in found[:most]:
        cells = (
            words.rate(real(row.get("records_in_per_s"))),
            words.size(real(row.get("bytes_in_per_s")), "/s"),
            words.rate(real(row.get("records_out_per_s"))),
            words.size(real(row.get("bytes_out_per_s")), "/s"),
        )
        lines.append(Text("  " + _left(row.get("topic"), 33) + " " + "".join(f"{cell:>16}" for cell in cells)))
    return _rest(lines, len(found) - most, "topic") if found else [_nothing("throughput", "nothing was sampled")]


def _latency(reading: Reading, most: int) -> list[Text]:
    found = [row for row in reading.latency if row.get("kind") in KINDS]
    titles = [name.removesuffix("_s") for name in PERCENTILES]
    lines = [_heading(_left("latency", 46), "".join(f"{title:>9}" for title in titles))]
    for row in found[:most]:
        cells = [words.seconds(real(row.get(name))) for name in PERCENTILES]
        name = _left(row.get("topic"), 31) + " " + _left(str(row.get("kind")).replace("_", " "), 12)
        lines.append(Text("  " + name + "".join(f"{cell:>9}" for cell in cells)))
    if not found:
        return [_nothing("latency", "no record of the measured time completed")]
    lines = _rest(lines, len(found) - most, "row")
    why = _why_null(found[:most])
    return [*lines, Text(f"  {NONE}: {why}", style="dim")] if why else lines


def _why_null(found: list[Row]) -> str:
    """The weightiest reason for a missing value."""
    reasons = [str(reason) for row in found for reason in mapping(row.get("reason")).values()]
    failed = [reason for reason in reasons if reason.endswith("failed or unfinished")]
    return clean((failed or reasons or [""])[0])


def _outages(reading: Reading, most: int) -> list[Text]:
    outages = reading.outages
    if not outages:
        return [_nothing("unavailability", "none: nobody was kept waiting beyond the threshold")]
    longest = max(one.duration_s for one in outages)
    lines = [_heading("unavailability", f"  {words.plural(len(outages), 'row')}, longest {words.seconds(longest)}")]
    for one in outages[:most]:
        until = "the end" if one.open else words.at(one.until_s)
        fault = reading.behind(one.cause)
        because = f"  {clean(fault.title)}" if fault is not None else ""
        lines.append(
            Text.assemble(
                "  ", _left(one.where, 27), " ", _left(one.client, 18), f" {one.kind:<8}",
                (f"{words.seconds(one.duration_s):>7}", "yellow"), f"  {one.from_s:,.3f} – {until}", (because, "dim"),
            )
        )  # fmt: skip
    return _rest(lines, len(outages) - most, "row")


def _ledger(reading: Reading) -> list[Text]:
    ledger = reading.ledger
    if not ledger:
        return [_nothing("ledger", "none")]

    def term(name: str) -> str:
        return words.count(real(ledger.get(name)))

    identities = reading.identities
    broken = [one for one in identities if not one.get("holds")]
    state = (
        (f"  all {len(identities)} identities hold", "green")
        if not broken
        else (f"  {len(broken)} of {len(identities)} identities DO NOT HOLD", "bold red")
    )
    lines = [Text.assemble(("ledger", "bold cyan"), state)]
    lines += [
        Text(f"  {clean(one.get('name'))}: {one.get('left')} ≠ {one.get('right')}", style="red") for one in broken[:3]
    ]
    lines.append(
        Text(
            f"  created {term('created')} = acknowledged {term('acknowledged')} + failed {term('failed')}"
            f" + in flight {term('in_flight')}"
        )
    )
    others = ("above_high_watermark", "offline", "expired", "in_transit", "extra_copies")
    shown = [f"{name.replace('_', ' ')} {term(name)}" for name in others if whole(ledger.get(name))]
    lost = whole(ledger.get("acknowledged_lost")) or 0
    parts = f"  acknowledged: readable {term('readable')}, "
    lines.append(
        Text.assemble(
            parts, (f"lost {words.count(lost)}", "bold red" if lost else "green"), "".join(f", {one}" for one in shown)
        )
    )
    groups = mapping(ledger.get("groups"))
    for name, given in list(groups.items())[:3]:
        terms = mapping(given)
        titles = {"delivered_once": "once", "delivered_more_than_once": "more than once"}
        titles |= {"pending_at_end": "pending", "never_delivered": "never"}
        cells = [f"{words.count(real(terms.get(key)))} {title}" for key, title in titles.items()]
        if whole(terms.get("skipped_by_reset")):
            cells.append(f"{words.count(real(terms.get('skipped_by_reset')))} skipped by reset")
        lines.append(Text(f"  delivered to {clean(name, 24)}: {', '.join(cells)}"))
    return _rest(lines, len(groups) - 3, "group")


def _alarms(reading: Reading) -> list[Text]:
    return [Text(line, style="bold red") for line in anomalies.alarms(reading)]


def _anomalies(reading: Reading) -> list[Text]:
    said = anomalies.in_short(reading)
    lines = [Text.assemble(("anomalies", "bold cyan"), f"  {said}, allowed by this configuration")] if said else []
    broken = anomalies.findings(reading)
    return [*lines, *(Text.assemble(("invariants", "bold cyan"), f"  {clean(one, 200)}") for one in broken[:2])]


def _stations(reading: Reading, most: int) -> list[Text]:
    found = busiest(reading)[:most]
    if not found:
        return [_nothing("busiest", "no station served a job")]
    parts = [f"{clean(row.get('station'), 34)} {words.percent(real(row.get('utilisation')))}" for row in found]
    while len(parts) > 1 and cell_len(" · ".join(parts)) > COLUMNS - 9:
        parts.pop()
    return [Text.assemble(("busiest", "bold cyan"), "  " + " · ".join(parts))]


def busiest(reading: Reading) -> list[Row]:
    """The stations that served something, the busiest first."""
    found = [row for row in rows(reading.summary.get("stations")) if real(row.get("utilisation"))]
    return sorted(found, key=lambda row: (-(real(row.get("utilisation")) or 0.0), str(row.get("station"))))


def _expectations(reading: Reading) -> list[Text]:
    found = rows(reading.summary.get("expectations"))
    failed = [row for row in found if not row.get("holds")]
    lines: list[Text] = []
    for row in failed[:5]:
        reason = f" ({clean(row.get('reason'))})" if row.get("reason") else ""
        lines.append(Text(f"EXPECTED, BUT NOT SO: {clean(row.get('text'))}{reason}", style="bold red"))
    lines = _rest(lines, len(failed) - 5, "expectation that failed", "expectations that failed")
    if found:
        held = len(found) - len(failed)
        lines.append(Text(f"{held} of {len(found)} expectations hold", style="dim" if failed else "green"))
    return lines


def _warnings(reading: Reading) -> list[Text]:
    warnings = reading.summary.get("warnings")
    found = [clean(one) for one in warnings] if isinstance(warnings, list) else []
    if not reading.summary.get("calibrated"):
        found.append("not calibrated: the hosts' costs are assumed or measured elsewhere")
    lines = [Text.assemble(("note ", "yellow"), one) for one in found[-2:]]
    return _rest(lines, len(found) - 2, "note")


def _nothing(name: str, why: str) -> Text:
    return Text.assemble((name, "bold cyan"), (f"  {why}", "dim"))


def _rest(lines: list[Text], rest: int, one: str, many: str | None = None) -> list[Text]:
    return [*lines, Text(f"  … and {words.plural(rest, f'more {one}', many)}", style="dim")] if rest > 0 else lines


def headline_lines(results: Sequence[Result], directory: Where = None) -> list[Text]:
    """The headline of several runs: minimum, median and maximum of each figure.

    Raises:
        ValueError: if there is no run.
    """
    combined = headline(results)
    first = read(results[0])
    seeds = combined["seeds"]
    span = _span([int(seed) for seed in seeds]) if isinstance(seeds, list) else ""
    lines = [
        Text.assemble(
            (clean(first.name, 60), "bold"),
            (f", {words.plural(len(results), 'run')} of {words.seconds(first.duration_s)}, {span}", "dim"),
        ),
        _heading(_left("", 38), f"{'minimum':>14}{'median':>14}{'maximum':>14}"),
    ]
    missing = False
    for name, row in mapping(combined["figures"]).items():
        cells = [figure(name, real(mapping(row).get(key))) for key in ("minimum", "median", "maximum")]
        nulls = whole(mapping(row).get("nulls")) or 0
        missing = missing or nulls > 0
        note = f"  {NONE} in {nulls}" if nulls else ""
        title = name.removesuffix("_s").removesuffix("_per").replace("_", " ")
        lines.append(Text.assemble("  " + _left(title, 36) + "".join(f"{cell:>14}" for cell in cells), (note, "dim")))
    if missing:
        lines.append(Text(f"  {NONE}: cannot be given in so many runs; counted as worse than any number", style="dim"))
    broken = [result.manifest["seed"] for result in results if not all(map(_holds, read(result).identities))]
    if broken:
        lines.append(Text(f"identities of the ledger DO NOT HOLD: {_span(broken)}", style="bold red"))
    failed: dict[str, list[object]] = {}
    for result in results:
        for row in rows(result.summary.get("expectations")):
            if not row.get("holds"):
                failed.setdefault(clean(row.get("text")), []).append(result.manifest["seed"])
    for text, where in list(failed.items())[:8]:
        lines.append(Text(f"EXPECTED, BUT NOT SO: {text} ({_span(where)})", style="bold red"))
    lines = [_fitted(line) for line in _rest(lines, len(failed) - 8, "expectation that failed", "that failed")]
    if directory is not None:
        lines.append(Text.assemble(("written to ", "dim"), clean(directory, 400)))
    return lines


def _holds(identity: Row) -> bool:
    return bool(identity.get("holds"))


def _span(seeds: Sequence[object]) -> str:
    """Seeds in few words: ``seeds 1-30``."""
    numbers = sorted(int(str(seed)) for seed in seeds)
    if len(numbers) == 1:
        return f"seed {numbers[0]}"
    if numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"seeds {numbers[0]}-{numbers[-1]}"
    return f"seeds {words.listed([str(one) for one in numbers], 8)}"


def figure(name: str, value: float | None) -> str:
    """A headline figure; its unit follows from its name."""
    if name.endswith("_per_s"):
        return words.rate(value)
    return words.seconds(value) if name.endswith("_s") else words.number(value)
