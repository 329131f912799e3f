"""Show what `up` would do, on the terminal or as a document."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keelson import preview as documents  # whose parts are slow, and no text needs them
from keelson.cli.context import Context, context
from keelson.cli.due import as_raised
from keelson.cli.lifecycle import QUIET, Extra
from keelson.cli.options import StackOption
from keelson.cli.output import as_json_text, complain
from keelson.cli.progress import working
from keelson.errors import KeelsonError, PlatformError, SettingsError
from keelson.preview.events import Events, read_events

if TYPE_CHECKING:
    from keelson.preview import Document


class Form(StrEnum):
    """How a preview is shown."""

    text = "text"
    markdown = "markdown"
    json = "json"


def preview(
    stack: StackOption = None,
    *,
    diff: Annotated[bool, typer.Option("--diff", help="Show every property (text only).")] = False,
    form: Annotated[
        Form, typer.Option("--format", help="text for a terminal, markdown for a pull request, json for a program.")
    ] = Form.text,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", dir_okay=False, help="Write the document to a file.")
    ] = None,
    extra: Extra = None,
) -> None:
    """Show what `up` would do, with no connection made: what is destroyed, every pending migration, what it locks.

    Exit status 0 if the preview succeeds, whatever it shows, and 1 if it fails; a document is written in both cases.

    Example: keelson preview -s dev --diff

    Example: keelson preview -s dev --format markdown --output preview.md
    """
    if form is Form.text:
        if output:
            msg = "--output takes a document; add --format markdown or --format json"
            raise SettingsError(msg)
        raise typer.Exit(_on_the_terminal(context(stack), [*(["--diff"] if diff else []), *(extra or [])]))
    document = _document(stack, extra or [])
    _write(as_json_text(document.as_json()) if form is Form.json else documents.markdown(document), output)
    for error in document.errors:
        complain(error)
    raise typer.Exit(1 if document.verdict == "failed" else 0)


def _on_the_terminal(chosen: Context, arguments: list[str]) -> int:
    if not chosen.engine.exists():
        chosen.engine.prepare()
    with as_raised(chosen) as raised:
        return min(chosen.engine.run("preview", QUIET, *raised, *arguments), 1)


def _document(stack: str | None, arguments: list[str]) -> Document:
    """Preview, and describe what was found; a preview that fails has its document too."""
    name = stack or "the selected stack"
    try:
        chosen = context(stack)
        name = chosen.stack_name
        if not chosen.engine.exists():
            chosen.engine.prepare()
        return _previewed(chosen, arguments)
    except KeelsonError as fault:
        return documents.failed_document(name, str(fault))


def _previewed(chosen: Context, arguments: list[str]) -> Document:
    events, said = look_ahead(chosen, arguments)
    if said and not events.errors:
        return documents.failed_document(chosen.stack_name, said)
    return documents.document_of(events, chosen.stack_name, chosen.project.root)


def look_ahead(chosen: Context, arguments: Sequence[str]) -> tuple[Events, str]:
    """Return what a preview finds, and what the engine said where it failed."""
    with tempfile.TemporaryDirectory(prefix="keelson-preview-") as folder:
        log = Path(folder) / "events"
        with as_raised(chosen) as raised, working(f"preview of {chosen.stack_name}"):
            said = chosen.engine.preview_silently(log, *raised, *arguments)
        return read_events(log), said


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as fault:
        msg = f"cannot write {output}: {fault.strerror}; name a file in a folder that you may write to"
        raise PlatformError(msg) from None
