"""What the commands print: tables for a person, one JSON object for a program; a mistake is one line on stderr."""

import json
import sys
from collections.abc import Iterable, Sequence

import rich_click as click
from rich import box
from rich.console import Console
from rich.table import Table

json_option = click.option(
    "--json", "is_json", is_flag=True, help="Print one JSON object on standard output and nothing else there."
)


def print_json(value: object) -> None:
    """Print one JSON value on one line."""
    print(json.dumps(value), flush=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print a table; cells are shown as text and never cut, so that a path or a token can be copied."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    Console(highlight=False, markup=False, emoji=False).print(table)


def print_error(kind: str, message: str, *, is_json: bool) -> None:
    """Print a mistake as one line on stderr, and as an object on stdout for a program that reads JSON."""
    line = " ".join(message.split())
    if is_json:
        print_json({"error": {"kind": kind, "message": line}})
    print(f"pressroom: {line}", file=sys.stderr, flush=True)
