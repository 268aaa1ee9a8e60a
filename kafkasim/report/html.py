"""The page of a finished run: one self-contained HTML file that opens offline, from a result alone.

Every name of a scenario is escaped (Jinja2 with autoescape), and the page's own policy forbids it to load anything.
``write_report`` is made to be given to ``Result.save`` as ``extras``.

Left out: a comparison of several runs.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from kafkasim.report import figures, page_parts, words
from kafkasim.report.figures import Picture
from kafkasim.report.reading import Reading, read
from kafkasim.report.story import tell
from kafkasim.results import Result

PAGE: Final = "report.html"


def write_report(result: Result, directory: Path) -> None:
    """Write ``figures/*.png`` and ``report.html`` into ``directory``."""
    reading = read(result)
    pictures = figures.draw(reading)
    figures.save(pictures, directory)
    text = page(reading, pictures)
    (directory / PAGE).write_text(text, encoding="utf-8", newline="\n")


def page(reading: Reading, pictures: list[Picture]) -> str:
    """The page as text."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        at=words.at,
        seconds=words.seconds,
        count=words.count,
        number=words.number,
        rate=words.rate,
        size=words.size,
        percent=words.percent,
        clean=words.clean,
        kept=_kept,
    )
    template = environment.get_template("template.html")
    context: dict[str, Any] = page_parts.context(reading)
    # The SVG is matplotlib's own, parsed and written again as XML: its texts are escaped.
    context["figures"] = {picture.name: Markup(picture.svg()) for picture in pictures}
    context["story"] = tell(reading)
    return template.render(context)


_UNIT: Final = re.compile(r"(?<=\d) (?=(?:s|ms|µs|%|B|kB|MB|GB)\b)")


def _kept(text: str) -> str:
    """Numbers and their units stay on one line."""
    return _UNIT.sub("\u00a0", text)
