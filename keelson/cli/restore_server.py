"""Restore a whole server as it was at a moment: beside the live one, or in its place."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime

import typer

from keelson.backups.physical import choosing, making, places, planning
from keelson.backups.physical.archives import Archives
from keelson.cli.backup_server import key_of, of_cluster
from keelson.cli.context import Context, context
from keelson.cli.output import print_json, print_table, say
from keelson.cli.place import run_where_files_lie
from keelson.cli.progress import working
from keelson.endpoint import Reference
from keelson.errors import SettingsError
from keelson.target import target

_SHOWN = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Asked:
    """The options of `keelson restore` that are about a whole server."""

    server: str | None
    at: str | None
    into: str | None
    discard: str | None
    cluster: str
    confirm: str
    in_place: bool
    listing: bool


def restore(asked: Asked, stack: str | None, *, others: bool, as_json: bool) -> None:
    """Do what is asked."""
    if asked.server is None or others:
        msg = "--at, --in-place and --cluster go with --server, and that with no service and no backup of one"
        raise typer.BadParameter(msg)
    if sum(map(bool, (asked.at, asked.discard, asked.listing))) != 1:
        msg = "give one of --at TIME, --discard NAME and --list"
        raise typer.BadParameter(msg)
    if asked.in_place and (asked.into or not asked.at):
        msg = "--in-place goes with --at, and without --into"
        raise typer.BadParameter(msg)
    chosen = context(stack)
    key = key_of(chosen, asked.server)
    if ours := of_cluster(chosen):
        ours.restore(chosen, asked.server, asked, as_json=as_json)
    elif asked.listing:
        words = ["--server", asked.server, "--list", *(["--json"] if as_json else ())]
        run_where_files_lie(chosen, "restore", *words)
        _list(chosen, asked.server, as_json=as_json)
    elif asked.discard:
        _archives(chosen).discard(key, asked.server, asked.discard)
        say(f"{asked.discard} is gone")
    elif asked.in_place:
        _in_place(chosen, asked.server, asked)
    else:
        _beside(chosen, asked.server, asked)


def _beside(chosen: Context, server: str, asked: Asked) -> None:
    moment = choosing.read_moment(str(asked.at), datetime.now(UTC))
    with working(f"restore {server}"):
        made = _archives(chosen).beside(chosen.stack.key, server, moment, into=asked.into or "", cluster=asked.cluster)
    _tell(server, made.name, moment, made.reached)
    service = next((name for name, each in chosen.stack.databases.items() if each.server == server), "SERVICE")
    say(f"look at it:  keelson psql {service} --beside {made.name}")
    say(f"its URL:     keelson url {service} --beside {made.name}")
    say(f"remove it:   keelson restore --server {server} --discard {made.name}")


def _in_place(chosen: Context, server: str, asked: Asked) -> None:
    moment = choosing.read_moment(str(asked.at), datetime.now(UTC))
    _require_name(server, asked.confirm)
    with working(f"restore {server}"):
        reached, before = _archives(chosen).in_place(chosen.stack.key, server, moment, cluster=asked.cluster)
    _tell(server, server, moment, reached)
    say(f"the data of before are {before}")
    say("next:  keelson up -- --refresh           brings logins and schemas to what the settings say")
    say(f"then:  keelson backup run --server {server}   and `keelson privacy again` where persons were erased since")


def _require_name(server: str, confirm: str) -> None:
    if not confirm and sys.stdin.isatty():
        confirm = typer.prompt(
            f"All that server {server} took in since then leaves it. Its name, to go on", default="", show_default=False
        )
    if confirm != server:
        msg = f"nothing was changed; to put the restored server into the place of the live one, add --confirm {server}"
        raise SettingsError(msg)


def _tell(server: str, name: str, moment: datetime | None, reached: planning.Reached) -> None:
    asked = f"at {moment:{_SHOWN}}" if moment else "at the end of its archive"
    last = (
        f"its last transaction is of {reached.last:%Y-%m-%dT%H:%M:%S.%fZ}"
        if reached.last
        else "with no transaction since its backup"
    )
    say(f"{name} holds {server} as it was {asked}: {last}; backup {reached.backup.label}, {reached.seconds:.1f} s")


def _archives(chosen: Context) -> Archives:
    return target(chosen.stack.settings.place).archives()


def _list(chosen: Context, server: str, *, as_json: bool) -> None:
    """Show from when to when can be restored, and the servers that were made."""
    key = chosen.stack.key
    kept = making.every(key, server)
    beside = _archives(chosen).sides(key, server)
    windows = [_window(chosen, server, each) for each in kept]
    if as_json:
        print_json(
            {
                "archives": [
                    {"cluster": each.cluster, "present": each.present, **window}
                    for each, window in zip(kept, windows, strict=True)
                ],
                "beside": [{"name": name, "port": port} for name, port in beside],
            }
        )
        return
    rows = [
        (each.cluster, "now" if each.present else "before", *window.values())
        for each, window in zip(reversed(kept), reversed(windows), strict=True)
    ]
    print_table(("CLUSTER", "", "FROM", "TO"), rows)
    for name, port in beside:
        say(f"beside it: {name} on port {port}")


def _window(chosen: Context, server: str, kept: making.Kept) -> dict[str, str]:
    good = [each for each in kept.inventory.backups if not each.fault]
    key, there = chosen.stack.key, chosen.stack.settings.place
    place, _ = places.find(key, server, kept.cluster)
    until = planning.restorable_until(Reference(stack=key, target=there, server=server), place)
    return {"from": f"{good[0].ended:{_SHOWN}}" if good else "no backup yet", "to": f"{until:{_SHOWN}}"}
