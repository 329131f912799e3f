"""The stack on one screen."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from keelson.cli.context import Context, context
from keelson.cli.options import JsonOption, StackOption
from keelson.cli.output import console, human_bytes, print_json
from keelson.status import BackupStatus, DatabaseStatus, PartStatus, RedisStatus, StackStatus, look
from keelson.wording import counted

EVERY = 2.0  # seconds between two looks
LONGEST_NAME = 20
MOST_PENDING = 99
_COLOURS = {"answers": "green", "starting": "yellow", "degraded": "yellow"}
_AGES = ((86_400, "d"), (3_600, "h"), (60, "min"))


def status(
    stack: StackOption = None,
    seconds: Annotated[float | None, typer.Argument(min=0.1, help="With --watch: seconds between two looks.")] = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again and again, until Ctrl-C.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show servers, databases, Redis, pgAdmin, agent and backups; exit status 1 when something is not as it should be.

    Example: keelson status

    Example: keelson status --watch 5
    """
    if seconds and not watch:
        msg = "the seconds between two looks go with --watch"
        raise typer.BadParameter(msg)
    chosen = context(stack)
    if watch:
        _watch(chosen, seconds or EVERY, as_json=as_json)
        return
    found = look(chosen.stack)
    if as_json:
        print_json(found.as_json())
    else:
        _print(screen(found))
    raise typer.Exit(0 if found.well else 1)


def screen(found: StackStatus) -> RenderableType:
    """Return what a person sees, on 80 columns."""
    blocks: list[RenderableType] = [
        _head(found),
        _parts(found),
        Text(),
        _databases(found),
        *_drills(found),
        *_archives(found),
    ]
    if lines := [*_lines("error: ", found.faults, "red"), *_lines("warning: ", found.warnings, "yellow")]:
        blocks += [Text(), *lines]
    return Group(*blocks)


def _print(shown: RenderableType) -> None:
    (console() if console().is_terminal else Console(highlight=False, width=10_000)).print(shown, soft_wrap=False)


def _watch(chosen: Context, every: float, *, as_json: bool) -> None:
    """Draw the same screen again and again; in a pipe one after the other."""
    try:
        if as_json:
            _repeat(every, lambda: sys.stdout.write(json.dumps(look(chosen.stack).as_json(), default=str) + "\n"))
        elif not console().is_terminal:
            _repeat(every, lambda: _print(Group(screen(look(chosen.stack)), Text())))
        else:
            _watch_live(chosen, every)
    except KeyboardInterrupt:
        return


def _watch_live(chosen: Context, every: float) -> None:
    from rich.live import Live  # noqa: PLC0415 - takes time that a look without --watch saves

    with Live(console=Console(highlight=False), screen=True, auto_refresh=False) as live:
        _repeat(every, lambda: live.update(screen(look(chosen.stack)), refresh=True))


def _repeat(every: float, show: Callable[[], object]) -> None:
    while True:
        began = time.monotonic()
        show()
        sys.stdout.flush()
        time.sleep(max(0.1, every - (time.monotonic() - began)))


def _head(found: StackStatus) -> Text:
    verdict = ("all is well", "green") if found.well else _verdict(found)
    place = f" · {found.environment} on {found.target} · {found.at.astimezone():%H:%M:%S} · "
    return Text.assemble((found.stack, "bold"), place, verdict)


def _verdict(found: StackStatus) -> tuple[str, str]:
    if found.faults:
        return counted(len(found.faults), "fault"), "red"
    return counted(len(found.warnings), "warning"), "yellow"


def _parts(found: StackStatus) -> Table:
    redis = {each.name: each for each in found.redis}
    table = _table("PART", "STATE", "PORT", "")
    for part in found.parts:
        state = Text(part.state, style=_COLOURS.get(part.state, "red"))
        table.add_row(_cut(part.name), state, str(part.port or ""), _about(part, redis.get(part.name)))
    return table


def _about(part: PartStatus, redis: RedisStatus | None) -> str:
    """Say what fits beside a part; a fault has a line of its own below."""
    if redis and redis.memory is not None:
        limit = f" of {_bytes(redis.max_memory)}" if redis.max_memory else ""
        return f"{_bytes(redis.memory)}{limit}, {redis.keys} keys, {redis.evicted} evicted"
    return part.detail if part.state == "answers" else ""


def _databases(found: StackStatus) -> Table:
    table = _table("DATABASE", "SERVER", "VERSION", "PENDING", "SIZE", "CONN", "CACHE", "BACKUP")
    for name in ("VERSION", "PENDING", "SIZE", "CONN", "CACHE"):
        next(column for column in table.columns if column.header == name).justify = "right"
    for database in found.databases:
        table.add_row(*_cells(database), style="" if database.well else "red")
    for redis in found.redis:
        table.add_row(_cut(redis.name), "redis", "", "", "", _known(redis.clients), "", _age(redis.backup))
    return table


def _cells(database: DatabaseStatus) -> Iterator[str]:
    known = database.version is not None
    yield _cut(database.name)
    yield _cut(database.server)
    yield str(database.version) if known else "?"
    yield (str(min(len(database.pending), MOST_PENDING)) if database.pending else "none") if known else "?"
    yield _bytes(database.size)
    yield _known(database.connections)
    yield "?" if database.cache_hit_ratio is None else f"{database.cache_hit_ratio:.1%}"
    yield _age(database.backup)


def _drills(found: StackStatus) -> Iterator[RenderableType]:
    """Say in a line how old the proofs are, and how long the longest recovery took."""
    drilled = [(each.drill.last, each) for each in found.databases if each.drill.last]
    if not drilled:
        return
    oldest, longest = (
        min(last for last, _ in drilled),
        max(drilled, key=lambda pair: pair[1].drill.recovery_seconds or 0)[1],
    )
    proven = f"drills: {len(drilled)} of {len(found.databases)}, oldest {_since(oldest)}"
    yield Text(f"{proven}, slowest {longest.drill.recovery_seconds:.1f} s ({_cut(longest.name)})")


def _archives(found: StackStatus) -> Iterator[RenderableType]:
    """Say in a line for each server that keeps an archive how much work a loss of it would cost."""
    for each in found.archives:
        if each.exposed_seconds is not None:
            backup = f"backup {_since(each.backed_up)}" if each.backed_up else "no backup yet"
            drill = f"; drill {_since(each.drilled)}, {each.recovery_seconds:.1f} s" if each.drilled else ""
            yield Text(f"archive of {each.server}: at most {each.exposed_seconds:.0f} s not in it; {backup}{drill}")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _lines(mark: str, sentences: tuple[str, ...], style: str) -> Iterator[Text]:
    yield from (Text(mark + sentence, style=style) for sentence in sentences)


def _bytes(number: int | None) -> str:
    return "?" if number is None else human_bytes(number)


def _known(number: int | None) -> str:
    return "?" if number is None else str(number)


def _age(backup: BackupStatus) -> str:
    if backup.last is None:
        return "overdue" if backup.fault else "none yet"
    age = _since(backup.last)
    return f"{age}!" if backup.fault else age


def _since(moment: datetime) -> str:
    seconds = (datetime.now(UTC) - moment).total_seconds()
    return next((f"{seconds / size:.0f} {unit} ago" for size, unit in _AGES if seconds >= size), "now")


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
