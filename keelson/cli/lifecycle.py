"""Bring a stack up, preview, take it down."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

from keelson.cli.context import Context, context
from keelson.cli.due import raise_due
from keelson.cli.options import StackOption
from keelson.cli.output import note, print_table, say
from keelson.cli.progress import working
from keelson.errors import SettingsError
from keelson.preview.events import read_events
from keelson.settings.stack import Stack
from keelson.target import Address, Part, target

QUIET = "--suppress-outputs"

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
NewPort = Annotated[
    bool, typer.Option("--new-port", help="Give a server another port when its own was taken while it was down.")
]
Extra = Annotated[list[str] | None, typer.Argument(help="Further arguments for pulumi, after --.")]


def up(stack: StackOption = None, *, yes: Yes = False, new_port: NewPort = False, extra: Extra = None) -> None:
    """Bring the stack to what its settings and files say: servers, databases, migrations, seeds, roles.

    Example: keelson up -s dev
    """
    chosen = context(stack)
    began = time.monotonic()
    chosen.stack  # noqa: B018 - wrong settings are told before anything runs
    chosen.engine.prepare()
    raise_due(chosen)
    _wake(chosen, new_port=new_port)
    if not _apply(chosen, _consent(yes), [*_repairs(chosen, new_port=new_port), *(extra or [])]):
        raise typer.Exit(1)
    if chosen.stack.settings.kubernetes.workloads == "gitops":
        from keelson.cli.render import tell_of_others  # noqa: PLC0415 - only such a stack needs it

        tell_of_others(chosen)
    show_endpoints(chosen)
    say(f"\nup in {time.monotonic() - began:.1f} s")


def destroy(
    stack: StackOption = None,
    *,
    yes: Yes = False,
    confirm: Annotated[str, typer.Option(help="The stack's name, typed, to destroy a protected one.")] = "",
    without_backup: Annotated[
        bool, typer.Option("--without-backup", help="Destroy a protected stack without last backups.")
    ] = False,
    extra: Extra = None,
) -> None:
    """Take the stack down: processes, data, roles; backups stay.

    A staging or prod stack needs its name typed, and is backed up before: where that fails, nothing is destroyed.

    Example: keelson destroy -s dev
    """
    chosen = context(stack)
    from keelson.cli.final_backup import make_final_backups  # noqa: PLC0415 - `up` needs none of it

    protected = chosen.stack.settings.protected
    if protected and confirm != chosen.stack_name:
        msg = f"stack {chosen.stack_name} is protected ({chosen.stack.settings.environment}); to destroy it, add --confirm {chosen.stack_name}"
        raise SettingsError(msg)
    if not chosen.engine.exists():
        say(f"stack {chosen.stack_name} is not there; nothing to destroy")
        return
    chosen.engine.prepare()
    if protected:
        if not without_backup:
            make_final_backups(chosen)
        chosen.engine.run("state", "unprotect", "--all", "--yes")
    failed = chosen.engine.run("destroy", QUIET, *_consent(yes), *(extra or ()))
    if not failed:
        target(chosen.stack.settings.place).await_end(chosen.stack.key)
    raise typer.Exit(min(failed, 1))


def _apply(chosen: Context, consent: list[str], extra: list[str]) -> bool:
    """Preview and update; say whether that went well.

    With consent given, the preview is one of our own: where it finds that nothing changes, no update follows, which would
    run the program and ask every provider a second time.
    """
    if extra or not consent:
        return chosen.engine.run("up", QUIET, *consent, *extra) == 0
    with tempfile.TemporaryDirectory(prefix="keelson-preview-") as folder:
        log = Path(folder) / "events"
        if chosen.engine.preview(log, QUIET):
            return False
        if read_events(log).changes_nothing:
            return True
    return chosen.engine.run("up", QUIET, "--skip-preview", *consent) == 0


def show_endpoints(chosen: Context) -> None:
    """Print where everything answers and the commands that connect."""
    stack = chosen.stack
    place = target(stack.settings.place)
    addresses = {name: _where(chosen, name) for name in stack.settings.servers}
    say("")
    print_table(("SERVICE", "SERVER", "ADDRESS", "CONNECT"), _services(stack, addresses))
    parts = place.parts(stack.key)
    if rows := [_daemon(chosen, part) for part in parts if part.kind in _USES]:
        say("")
        print_table(("PART", "ADDRESS", ""), rows)
    for part in parts:
        if part.detail and part.kind == "server":
            note(f"server {part.name} answers{f' on {part.port}' if part.port else ''}, {part.detail}")
    say(
        "\nkeelson status · keelson url SERVICE · keelson env SERVICE (`. .keelson/env` puts keelson and pulumi on the path)"
    )


def _where(chosen: Context, part: str) -> Address:
    """Return where a part answers; where nothing outlasts this command, where it answers inside."""
    place, key = target(chosen.stack.settings.place), chosen.stack.key
    if chosen.stack.settings.target == "kubernetes":  # where `locate` makes a port, and waits for the part's pod
        return place.locate_inside(key, part)
    found = place.locate(key, part)
    return place.locate_inside(key, part) if found.fleeting else found


def _services(stack: Stack, addresses: Mapping[str, Address]) -> Iterator[tuple[str, ...]]:
    for name, database in stack.databases.items():
        address = addresses[database.server]
        yield name, database.server, f"{address.host}:{address.port}", f"keelson psql {name}"


_USES = {
    "redis": ("{}:{}", "keelson redis-cli SERVICE"),
    "pgadmin": ("http://{}:{}/", "log in as {email}; `keelson pgadmin` says the password"),
    "agent": ("http://{}:{}/health", "runs the backups; `keelson status` shows them"),
}


def _daemon(chosen: Context, part: Part) -> tuple[str, ...]:
    stack, address = chosen.stack, _where(chosen, part.name)
    where, use = _USES[part.kind]
    pgadmin = stack.settings.pgadmin
    if part.kind == "pgadmin" and pgadmin.url:
        where = pgadmin.url
    if part.kind == "pgadmin" and pgadmin.oidc:
        use = f"log in with {pgadmin.oidc.name}"
    state = "" if part.answering else "starting; " if part.starting else f"{part.detail}; "
    return part.name, where.format(address.host, address.port), state + use.format(email=stack.settings.pgadmin.email)


def _wake(chosen: Context, *, new_port: bool) -> None:
    """Start a stack that is down, so that the providers find its servers."""
    with working("looking at what runs, and starting the rest"):
        notes = target(chosen.stack.settings.place).start(chosen.stack.key, new_port=new_port)
    for sentence in notes:
        note(sentence)


def _repairs(chosen: Context, *, new_port: bool) -> list[str]:
    """Have the engine look at all that it remembers where some of it was taken away, or roles were altered by hand."""
    stack = chosen.stack
    parts = [name for name, part in stack.settings.settings_of_parts.items() if getattr(part, "enabled", True)]
    harmed = target(stack.settings.place).is_harmed(stack.key, parts, new_port=new_port)
    return ["--refresh"] if (harmed and chosen.engine.exists()) or _is_altered(chosen) else []


def _is_altered(chosen: Context) -> bool:
    """Say which roles were altered by hand, if any; a server that does not answer is the update's to bring back."""
    from keelson.cli.roles import altered  # noqa: PLC0415 - `destroy` and a first `up` need none of it

    with working("looking at roles and grants"):
        found = altered(chosen)
    if found:
        note(f"altered by hand: {', '.join(found)}; this update puts them back")
    return bool(found)


def _consent(yes: bool) -> list[str]:  # noqa: FBT001 - the flag itself is what travels
    return ["--yes"] if yes or not sys.stdin.isatty() else []
