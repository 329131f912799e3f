"""The caches that all checkouts share: engine, private root, uv."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from keelson import paths
from keelson.cli.output import print_table, say

application = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

_MEGABYTE = 1_000_000


@application.callback()
def _group() -> None:
    """The engine and the private root that all checkouts share."""


@application.command("list")
def show() -> None:
    """List what the caches hold.

    Example: keelson cache list
    """
    rows = [(part.parent.name, part.name, f"{_size(part) / _MEGABYTE:.0f} MB") for part in _versions()]
    print_table(("CACHE", "VERSION", "SIZE"), rows)


@application.command()
def prune(
    budget: Annotated[
        int, typer.Option(help="Megabytes that may stay; of each cache the newest version always stays.")
    ] = 3000,
) -> None:
    """Remove old versions, oldest first, until the caches fit into the budget.

    Example: keelson cache prune --budget 1500
    """
    sizes = {part: _size(part) for part in _versions()}
    total = sum(sizes.values())
    for part in _removable(list(sizes)):
        if total <= budget * _MEGABYTE:
            break
        shutil.rmtree(part)
        total -= sizes[part]
        say(f"removed {part.parent.name}/{part.name} ({sizes[part] / _MEGABYTE:.0f} MB)")
    say(f"the caches hold {total / _MEGABYTE:.0f} MB")


def _versions() -> Iterator[Path]:
    for kind in ("engine", "root", "uv"):
        folder = paths.cache() / kind
        if folder.is_dir():
            yield from (entry for entry in folder.iterdir() if entry.is_dir())


def _removable(parts: list[Path]) -> list[Path]:
    """Return all but the newest of each kind, oldest first."""
    by_age = sorted(parts, key=lambda part: part.stat().st_mtime)
    newest = {part.parent: part for part in by_age}
    return [part for part in by_age if newest[part.parent] != part]


def _size(part: Path) -> int:
    return sum(entry.lstat().st_size for entry in part.rglob("*"))
