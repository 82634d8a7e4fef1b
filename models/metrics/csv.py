"""A metric's rows as CSV (https://www.rfc-editor.org/rfc/rfc4180), safe for spreadsheets."""

import csv
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from io import StringIO

from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics.core import Scope, Window, asked, utc
from models.metrics.explanation import Metric

NEWEST_FIRST = "select * from rows order by at desc, id desc"
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a formula begins with, in its full-width forms too: https://owasp.org/www-community/attacks/CSV_Injection."""


async def csv_lines(
    db: AsyncConnection, metric: Metric, scope: Scope, window: Window
) -> AsyncIterator[str]:
    """A header, then every row of the metric's SELECT, counted or not, as they come."""
    yield line(metric.columns)
    rows = metric.rows(scope, window.start, window.end)
    async with db.stream(asked(rows, NEWEST_FIRST), dict(rows.parameters)) as answer:
        async for row in answer.mappings():
            yield line(row[column] for column in metric.columns)


def line(values: Iterable[object]) -> str:
    """One line of CSV; None is an empty cell."""
    written = StringIO()
    csv.writer(written).writerow([cell(value) for value in values])
    return written.getvalue()


def cell(value: object) -> object:
    """A value as a spreadsheet may read it: an apostrophe disarms formulas."""
    if isinstance(value, datetime):
        return utc(value)
    if isinstance(value, list):
        value = " ".join(map(str, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value
