"""Backups and restores of whole servers on Kubernetes, where CloudNativePG makes them: what `--server` means there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from keelson.backups.physical import choosing
from keelson.cli.context import Context
from keelson.cli.output import print_json, print_table, say
from keelson.cli.progress import working
from keelson.errors import BackupError, SettingsError
from keelson.kubernetes import archives, sides
from keelson.kubernetes.archives import Made, Window

if TYPE_CHECKING:
    from keelson.cli.restore_server import Asked

_SHOWN = "%Y-%m-%d %H:%M:%S"


def run(chosen: Context, server: str, *, full: bool) -> None:
    """Back up a whole server now."""
    if full:
        msg = f"each backup of {server} is a full one on kubernetes; leave out --full"
        raise SettingsError(msg)
    with working(f"backup {server}"):
        made = archives.back_up(_place(chosen), chosen.stack.key, server)
    seconds = (made.ended - made.begun).total_seconds() if made.ended and made.begun else 0.0
    say(f"{server}: {made.label}, full, {seconds:.0f} s")


def list_(chosen: Context, server: str, *, as_json: bool) -> None:
    """List what the operator knows of a server's backups, the newest first."""
    found = archives.backups(_place(chosen), server)
    if as_json:
        print_json([_entry(each) for each in found])
        return
    print_table(("BACKUP", "ARCHIVED AS", "BEGUN (UTC)", "COMPLETE", ""), _rows(found))
    if not found:
        say(f"no backup yet; `keelson backup run --server {server}` makes one")


def refuse_verify(server: str) -> None:
    """Say how an archive in a bucket is proven."""
    msg = (
        f"the archive of {server} lies in a bucket, and is proven by a restore: `keelson restore --server {server} --at latest`; "
        "what that makes, look at, and discard it"
    )
    raise SettingsError(msg)


def restore(chosen: Context, server: str, asked: Asked, *, as_json: bool) -> None:
    """Do what is asked of a server's archive."""
    if asked.in_place:
        msg = (
            f"a server of several instances is not exchanged for another one in its place: restore {server} beside it with "
            f"`keelson restore --server {server} --at {asked.at}`, and put rows or databases back from there"
        )
        raise SettingsError(msg)
    if asked.listing:
        _list(chosen, server, as_json=as_json)
    elif asked.discard:
        sides.discard(_place(chosen), chosen.stack.key, server, asked.discard)
        say(f"{asked.discard} is gone")
    else:
        _beside(chosen, server, asked)


def known_beside(chosen: Context, server: str) -> list[str]:
    """Return the servers that were restored beside one."""
    return sides.every(_place(chosen), chosen.stack.key, server)


def _beside(chosen: Context, server: str, asked: Asked) -> None:
    moment = choosing.read_moment(str(asked.at), datetime.now(UTC))
    wish = sides.Wish(server, _archive(chosen, server, asked.cluster), moment, asked.into or "")
    began = datetime.now(UTC)
    with working(f"restore {server}"):
        made = sides.beside(_place(chosen), chosen.stack.key, wish)
    at = f"at {moment:{choosing.SHOWN}}" if moment else "at the end of its archive"
    say(f"{made} holds {server} as it was {at}; {(datetime.now(UTC) - began).total_seconds():.1f} s")
    service = next((name for name, each in chosen.stack.databases.items() if each.server == server), "SERVICE")
    say(f"look at it:  keelson psql {service} --beside {made}")
    say(f"remove it:   keelson restore --server {server} --discard {made}")


def _archive(chosen: Context, server: str, name: str) -> Window:
    """Return one of a server's archives, by default that to which it sends now; raises BackupError where there is none of that name."""
    found = _windows(chosen, server)
    for each in found:
        if each.name == name or (not name and each.present):
            return each
    msg = f"the archive of {server} holds no cluster {name!r}; it holds {', '.join(each.name for each in found)}"
    raise BackupError(msg)


def _list(chosen: Context, server: str, *, as_json: bool) -> None:
    """Show from when to when can be restored, and the servers that were made."""
    found, beside = _windows(chosen, server), known_beside(chosen, server)
    until = sides.until_of(_place(chosen), chosen.stack.key, server)
    if as_json:
        kept = [{"cluster": each.name, "present": each.present, **_window(each, until)} for each in found]
        print_json({"archives": kept, "beside": [{"name": name} for name in beside]})
        return
    rows = [
        (each.name, "now" if each.present else "before", *_window(each, until).values()) for each in reversed(found)
    ]
    print_table(("CLUSTER", "", "FROM", "TO"), rows)
    for name in beside:
        say(f"beside it: {name}")


def _window(archive: Window, until: datetime | None) -> dict[str, str]:
    to = f"{until:{choosing.SHOWN}}" if until and archive.present else "its end"
    return {"from": f"{archive.first:{choosing.SHOWN}}" if archive.first else "no backup yet", "to": to}


def _windows(chosen: Context, server: str) -> list[Window]:
    return archives.windows(_place(chosen), server, chosen.stack.settings.point_in_time.archive)


def _place(chosen: Context) -> str:
    return chosen.stack.settings.place


def _rows(found: list[Made]) -> Iterator[tuple[object, ...]]:
    for each in reversed(found):
        begun = f"{each.begun:{_SHOWN}}" if each.begun else "not yet"
        ended = f"{each.ended:{_SHOWN}}" if each.ended else "no"
        yield each.name, each.label, begun, ended, f"FAILED: {each.fault}" if each.fault else ""


def _entry(each: Made) -> dict[str, object]:
    times = {"begun": each.begun and each.begun.isoformat(), "ended": each.ended and each.ended.isoformat()}
    return {"name": each.name, "label": each.label, **times, "fault": each.fault}
