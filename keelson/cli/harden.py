"""Whether servers are as safe as they should be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keelson.cli.options import JsonOption, OptionalServer, StackOption
from keelson.cli.output import complain, print_json, print_table, say
from keelson.errors import KeelsonError, SettingsError
from keelson.postgres.hardening import CHECKS, Expected, Finding, State, examine

if TYPE_CHECKING:
    from keelson.settings.stack import Stack

_APPLICATION = "keelson harden"


def harden(
    server: OptionalServer = None,
    stack: StackOption = None,
    url: Annotated[
        str | None, typer.Option("--url", help="A server's URL as a superuser, in place of a stack.")
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", help="A check that does not count here, by its id.")
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Look whether one server or all are as safe as they should be, and say how to mend what is not; nothing is changed.

    Exit status 0 when every check that counts is well, 1 when one found something or could not be judged.

    Example: keelson harden

    Example: keelson harden main --json

    Example: keelson harden --url postgresql://postgres@db.example.org/postgres --skip backups
    """
    if url and server:
        msg = "a server's name goes with a stack, and --url in place of both"
        raise typer.BadParameter(msg)
    skipped = tuple(skip or ())
    _refuse_unknown(skipped)
    looks = dict([("", _of_url(url, skipped))] if url else _of_stack(stack, server, skipped))
    if as_json:
        print_json(_as_json(looks))
    else:
        _print(looks)
    raise typer.Exit(0 if all(map(_is_well, looks.values())) else 1)


def _refuse_unknown(skipped: Sequence[str]) -> None:
    known = [check.id for check in CHECKS]
    if unknown := next((name for name in skipped if name not in known), None):
        msg = f"there is no check {unknown!r} to leave out; there are {', '.join(known)}"
        raise SettingsError(msg)


def _of_url(url: str, skipped: Sequence[str]) -> tuple[Finding, ...]:
    from keelson.postgres.connection import connect, refuse_pooler  # noqa: PLC0415 - help needs no driver

    with connect(url, application_name=_APPLICATION) as admin:
        refuse_pooler(admin)
        return examine(admin, Expected(), skipped)


def _of_stack(
    name: str | None, server: str | None, skipped: Sequence[str]
) -> Iterator[tuple[str, tuple[Finding, ...] | str]]:
    """Give what was found on each server; where one cannot be asked, why."""
    from keelson.cli.context import context  # noqa: PLC0415 - a server that is given by its URL needs no stack
    from keelson.status import hardening  # noqa: PLC0415

    chosen = context(name).stack
    for each in [_known(chosen, server)] if server else chosen.settings.servers:
        try:
            yield each, hardening.harden(chosen, each, skipped)
        except KeelsonError as fault:
            yield each, str(fault)


def _known(chosen: Stack, server: str) -> str:
    servers = chosen.settings.servers
    if server not in servers:
        msg = f"stack {chosen.name} has no server {server!r}; it has {', '.join(servers)}"
        raise SettingsError(msg)
    return server


def _is_well(found: tuple[Finding, ...] | str) -> bool:
    return not isinstance(found, str) and not any(each.counts_against for each in found)


def _print(looks: dict[str, tuple[Finding, ...] | str]) -> None:
    for server, found in looks.items():
        if isinstance(found, str):
            complain(f"{server} could not be looked at: {found}")
            continue
        if len(looks) > 1:
            say(server)
        rows = ((_word(each), str(each.number), each.check.id, each.judgement.found) for each in found)
        print_table(("", "#", "CHECK", "FOUND"), rows)
        for each in found:
            if each.judgement.state is State.failed:
                say(f"{each.check.id}: {each.check.fix}")
        say(_sum(found))


def _sum(found: tuple[Finding, ...]) -> str:
    wrong = sum(each.counts_against for each in found)
    if wrong:
        return f"{wrong} of {len(found)} checks are not as they should be, or could not be judged"
    skipped = sum(each.judgement.state is State.skipped for each in found)
    return f"{len(found) - skipped} checks are well" + (f", {skipped} are left out" if skipped else "")


def _word(finding: Finding) -> str:
    state = finding.judgement.state
    return state.value.upper() if finding.counts_against else state.value


def _as_json(looks: dict[str, tuple[Finding, ...] | str]) -> dict[str, Any]:
    servers = [
        {"server": name, "well": False, "fault": found, "checks": []}
        if isinstance(found, str)
        else {"server": name, "well": _is_well(found), "fault": "", "checks": [_check(each) for each in found]}
        for name, found in looks.items()
    ]
    return {"well": all(each["well"] for each in servers), "servers": servers}


def _check(finding: Finding) -> dict[str, Any]:
    check, judgement = finding.check, finding.judgement
    return {
        "number": finding.number,
        "id": check.id,
        "title": check.title,
        "sources": check.sources,
        "state": judgement.state.value,
        "found": judgement.found,
        "faults": list(judgement.faults),
        "fix": check.fix,
    }
