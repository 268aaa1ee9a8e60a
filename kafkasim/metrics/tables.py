"""Tables with declared columns: rows in, plain CSV and DataFrames out.

Left out: Parquet (an extra) and anything that depends on the wall clock.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kafkasim.metrics import numbers
from kafkasim.metrics.numbers import BOOLEAN, FLOAT, INTEGER, Value
from kafkasim.metrics.schema import Field

if TYPE_CHECKING:
    import pandas as pd


class Table:
    """Columns with declared types, and rows of values of these types (an empty text is None)."""

    def __init__(self, name: str, fields: tuple[Field, ...], rows: Iterable[Mapping[str, object]] = ()) -> None:
        """Take rows given as mappings; what a mapping lacks is None.

        Raises:
            KeyError: if a row has a key that is no column.
            TypeError: if a value is not of its column's type, or None where the column does not allow it.
        """
        self.name: Final = name
        self.fields: Final = fields
        self.rows: Final[list[tuple[Value, ...]]] = []
        names = {field.path for field in fields}
        for row in rows:
            if len(row) > len(fields) or not names.issuperset(row):
                raise KeyError(f"{name}: no such column: {', '.join(sorted(set(row) - names))}")
            self.rows.append(tuple(self._value(row.get(field.path), field) for field in fields))

    def _value(self, value: object, field: Field) -> Value:
        try:
            known = numbers.typed(value, field.kind)
        except TypeError as error:
            raise TypeError(f"{self.name}.{field.path}: {error}") from None
        if known == "" and isinstance(known, str):
            known = None
        if known is None and not field.optional:
            raise TypeError(f"{self.name}.{field.path} must be given")
        return known

    def write(self, path: Path) -> None:
        """Write plain CSV: a header, one line a row, None as nothing."""
        kinds = [field.kind for field in self.fields]
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([field.path for field in self.fields])
            for row in self.rows:
                writer.writerow([numbers.text(value, kinds[i]) for i, value in enumerate(row)])

    @classmethod
    def read(cls, name: str, fields: tuple[Field, ...], path: Path) -> Table:
        """Read what :meth:`write` wrote.

        Raises:
            ValueError: if the columns are others, or a cell does not hold its column's type.
        """
        table = cls(name, fields)
        names = [field.path for field in fields]
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            if header != names:
                raise ValueError(f"{path}: its columns are {header}, expected {names}")
            for cells in reader:
                if len(cells) != len(fields):
                    raise ValueError(f"{path}:{reader.line_num}: {len(cells)} cells, expected {len(fields)}")
                try:
                    row = [numbers.parsed(cell, fields[i].kind) for i, cell in enumerate(cells)]
                except ValueError as error:
                    raise ValueError(f"{path}:{reader.line_num}: {error}") from None
                table.rows.append(tuple(row))
        return table

    def column(self, name: str) -> list[Value]:
        """The values of one column.

        Raises:
            KeyError: if there is none of that name.
        """
        for i, field in enumerate(self.fields):
            if field.path == name:
                return [row[i] for row in self.rows]
        raise KeyError(f"{self.name}: no such column: {name}")

    def frame(self) -> pd.DataFrame:
        """The table as a DataFrame; the types of the columns do not depend on the values."""
        import pandas as pd

        columns: dict[str, pd.Series] = {}
        for i, field in enumerate(self.fields):
            values = [row[i] for row in self.rows]
            if field.kind == FLOAT:
                dtype = "float64"
            elif field.kind == INTEGER:
                dtype = "Int64" if field.optional else "int64"
            elif field.kind == BOOLEAN:
                dtype = "boolean" if field.optional else "bool"
            else:
                dtype = "str"
            columns[field.path] = pd.Series(values, dtype=dtype)
        return pd.DataFrame(columns)

    def __len__(self) -> int:
        return len(self.rows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Table):
            return NotImplemented
        return self.name == other.name and self.fields == other.fields and self.rows == other.rows

    def __hash__(self) -> int:
        raise TypeError("a Table changes and has no hash")

    def __repr__(self) -> str:
        return f"<table {self.name}: {len(self.rows)} rows>"
