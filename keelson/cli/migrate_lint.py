"""Look at migrations before they run, and say what may stop, break or lose something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from keelson import migrations
from keelson.cli.context import Context, context
from keelson.cli.options import JsonOption, OptionalService, StackOption
from keelson.cli.output import print_json, print_table, say
from keelson.errors import EngineError, MigrationError, SettingsError
from keelson.migrations.lint import Finding, Place, lint, lint_each
from keelson.migrations.lint.place import place_of
from keelson.migrations.lint.rules import RULES, severity_of
from keelson.migrations.seeds import refusals
from keelson.postgres.connection import connect
from keelson.settings.database import read_database
from keelson.settings.stack import PROTECTED_ENVIRONMENTS, Environment
from keelson.state import last_known
from keelson.wording import counted

_RAN = frozenset({"applied", "changed"})  # where a file stands that is not looked at again


class Form(StrEnum):
    """How findings are shown."""

    text = "text"
    github = "github"


@dataclass(frozen=True)
class Looked:
    """The files of one database that were looked at, what was found, and which cannot be read, a sentence each."""

    database: str
    files: int
    findings: tuple[Finding, ...]
    refused: tuple[str, ...] = ()


def lint_command(  # noqa: PLR0913, PLR0917 - each is an option
    service: OptionalService = None,
    stack: StackOption = None,
    url: Annotated[str | None, typer.Option("--url", help="A database whose ledger says what is pending.")] = None,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="A folder of migrations, in place of a service; alone, all of it.")
    ] = None,
    environment: Annotated[
        str | None, typer.Option(help="Judge as in this environment: dev, prod and so on; with --dir prod by default.")
    ] = None,
    form: Annotated[
        Form, typer.Option("--format", help="text for a terminal, github for annotations of a pull request.")
    ] = Form.text,
    *,
    whole: Annotated[bool, typer.Option("--all", help="Every service of the stack.")] = False,
    every: Annotated[bool, typer.Option("--every", help="Applied files too, as if each were to run now.")] = False,
    rules: Annotated[bool, typer.Option("--rules", help="List the rules and how much they count.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Look at pending migrations, and say what may stop, break or lose something that is in use; no connection is made.

    Exit status 1 when there is an error. What is pending says the ledger in the stack's state, or that of --url.

    Example: keelson migrate lint auth

    Example: keelson migrate lint --all --environment prod --format github
    """
    protected = _protected(environment)
    if rules:
        _list_rules(protected=protected is not False, as_json=as_json)
        return
    if directory and not (service or whole):
        looked = [_in_folder(directory, url, protected=protected is not False, every=every)]
    elif (service or whole) and not (url or directory) and not (service and whole):
        chosen = context(stack)
        names = list(chosen.stack.databases) if whole else [str(service)]
        looked = [_of_service(chosen, name, protected=protected, every=every) for name in names]
    else:
        msg = "name a service of the stack, or give --all, or --dir with or without --url"
        raise SettingsError(msg)
    if as_json:
        print_json(_as_json(looked))
    else:
        _show(looked, form)
    raise typer.Exit(1 if _count(looked, "error") else 0)


def _protected(environment: str | None) -> bool | None:
    if environment is None:
        return None
    known = Environment.__args__  # type: ignore[attr-defined]
    if environment not in known:
        msg = f"there is no environment {environment!r}; there are {', '.join(known)}"
        raise SettingsError(msg)
    return environment in PROTECTED_ENVIRONMENTS


def _of_service(chosen: Context, service: str, *, protected: bool | None, every: bool) -> Looked:
    chosen.server_of(service)
    root = chosen.project.root
    refused = refusals(root / chosen.stack.directory(service) / "seeds", root)
    ledger = {} if every else _ledger(chosen, service)
    try:
        files = migrations.location_of(chosen.stack, service).read(root)
        pending = [file for file in files if migrations.is_pending(file, ledger.get(file.name))]
        looked = _look(service, files, pending, place_of(chosen.stack, service, protected=protected), every=every)
    except MigrationError as fault:  # which hides no other database's
        return Looked(service, 0, (), (*refused, str(fault)))
    return replace(looked, refused=refused)


def _ledger(chosen: Context, service: str) -> dict[str, str]:
    """Return what the last `up` has applied; nothing where the stack is not there yet."""
    try:
        return last_known(chosen.engine.resources(), service).ledger
    except EngineError as fault:
        msg = f"{fault}; --every looks at all files without asking what is pending"
        raise EngineError(msg) from None


def _in_folder(directory: Path, url: str | None, *, protected: bool, every: bool) -> Looked:
    files = migrations.read_directory(directory, Path.cwd())
    chosen = {}
    if (directory.parent / "database.yaml").is_file():
        chosen = read_database(directory.parent.absolute(), directory.parent.absolute()).lint
    pending, version = list(files), Place().version
    if url:
        with connect(url, application_name="keelson migrate lint") as connection:
            ran = {entry.file for entry in migrations.status(connection, files) if entry.state in _RAN}
            version = str(connection.info.server_version // 10_000)
        pending = [file for file in files if file.name not in ran]
    name = directory.resolve().parent.name if directory.name == "migrations" else directory.name
    return _look(name, files, pending, Place(protected=protected, chosen=chosen, version=version), every=every)


def _look(
    database: str,
    files: Sequence[migrations.MigrationFile],
    pending: Sequence[migrations.MigrationFile],
    place: Place,
    *,
    every: bool,
) -> Looked:
    if every:
        return Looked(database, len(files), lint_each(files, place))
    names = {file.name for file in pending}
    return Looked(database, len(pending), lint(pending, [file for file in files if file.name not in names], place))


def _show(looked: Sequence[Looked], form: Form) -> None:
    for finding in (finding for one in looked for finding in one.findings):
        say(_annotation(finding) if form is Form.github else str(finding))
    for sentence in (sentence for one in looked for sentence in one.refused):
        say(f"::error title=refused::{_escaped(sentence)}" if form is Form.github else f"error: {sentence}")
    if form is Form.text:
        say(_summary(looked))


def _summary(looked: Sequence[Looked]) -> str:
    files = sum(one.files for one in looked)
    counts = {severity: _count(looked, severity) for severity in ("error", "warning")}
    found = " and ".join(counted(number, severity) for severity, number in counts.items() if number)
    where = counted(files, "file") if files else "no file: nothing is pending"
    return f"{found or 'nothing wrong'} in {where}"


def _count(looked: Sequence[Looked], severity: str) -> int:
    refused = sum(len(one.refused) for one in looked) if severity == "error" else 0
    return refused + sum(finding.severity == severity for one in looked for finding in one.findings)


def _annotation(finding: Finding) -> str:
    """Return a finding as a command of GitHub's workflows, with what they read as their own written otherwise."""
    message = _escaped(finding.message)
    source = finding.source.replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    return f"::{finding.severity} file={source},line={finding.line},title={finding.rule}::{message}"


def _escaped(message: str) -> str:
    return message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _as_json(looked: Sequence[Looked]) -> dict[str, object]:
    return {
        "files": sum(one.files for one in looked),
        "errors": _count(looked, "error"),
        "warnings": _count(looked, "warning"),
        "findings": [{"database": one.database, **asdict(finding)} for one in looked for finding in one.findings],
        "refused": [{"database": one.database, "message": each} for one in looked for each in one.refused],
    }


def _list_rules(*, protected: bool, as_json: bool) -> None:
    rows = [
        (rule.id, severity_of(rule, protected=protected, chosen={}), rule.about(), rule.why_off)
        for rule in RULES.values()
    ]
    if as_json:
        print_json([dict(zip(("rule", "severity", "says", "why_off"), row, strict=True)) for row in rows])
    else:
        print_table(("RULE", "SEVERITY", "SAYS"), (row[:3] for row in rows))
