"""A preview as Markdown for a pull or merge request: one headline, what is destroyed, a short table, the rest folded away.

Names and plans come from files that anybody may have written. They stand in `<code>` with every sign that Markdown or
HTML could read as its own written as a number, so they cannot break the table, close a tag, or call a user by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from keelson.migrations.locks import MODES
from keelson.migrations.plan import SEPARATOR
from keelson.migrations.rows import in_words
from keelson.preview.document import Danger, Document, FilePlan, PartChange

MOST_ROWS = 40
MOST_NAMES = 3
LARGEST = 60_000  # characters; a comment on GitHub holds 65,536
_PLAIN = frozenset(" .,;()/=+-'")
_SAID_BY_FILES = frozenset({"Schema", "Seeds"})
_VERDICTS = {
    "unchanged": "No changes",
    "changes": "Changes",
    "destructive": "DESTRUCTIVE",
    "failed": "FAILS",
}


def markdown(document: Document) -> str:
    """Return the document as Markdown; what does not fit into a comment is left out, and said."""
    blocks = [*_opening(document), *_errors(document), *_destructive(document.destructive), *_table(document)]
    size = sum(map(len, blocks))
    for block in _details(document):
        size += len(block) + 2
        if size > LARGEST:
            blocks.append("More does not fit here; `keelson preview` shows all of it.")
            break
        blocks.append(block)
    return "\n\n".join(blocks) + "\n"


def marker(stack: str) -> str:
    """Return the hidden first line by which a comment is found again."""
    return f"<!-- keelson preview of {''.join(sign for sign in stack if sign.isalnum() or sign in '._-')} -->"


def code(text: str) -> str:
    """Return `text` so that it shows as it is, whatever stands in it."""
    one_line = " ".join(text.split())
    signs = (sign if sign in _PLAIN or (sign.isascii() and sign.isalnum()) else f"&#{ord(sign)};" for sign in one_line)
    return f"<code>{''.join(signs)}</code>"


def _opening(document: Document) -> Iterator[str]:
    yield marker(document.stack)
    if document.verdict == "unchanged":
        yield f"**{_VERDICTS['unchanged']}** in stack {code(document.stack)}: {document.headline}."
        return
    yield f"### {_VERDICTS[document.verdict]}: stack {code(document.stack)}"
    yield f"**{document.headline[:1].upper()}{document.headline[1:]}.**"


def _errors(document: Document) -> Iterator[str]:
    if document.errors:
        yield "\n".join(f"- {code(error)}" for error in document.errors[:MOST_ROWS])
    if document.warnings:
        yield "\n".join(f"- warning: {code(warning)}" for warning in document.warnings[:MOST_ROWS])


def _destructive(dangers: Sequence[Danger]) -> Iterator[str]:
    if not dangers:
        return
    lines = [
        f"- {code(danger.where)} {code(danger.file) + ' ' if danger.file else ''}{code(danger.what)}"
        for danger in dangers[:MOST_ROWS]
    ]
    yield "\n".join(["**Lost for good:**", "", *lines, *_rest(dangers, "- and {} more")])


def _table(document: Document) -> Iterator[str]:
    changes = (*document.databases, *document.parts)
    if not changes:
        return
    rows = [
        f"| {code(change.name)} | {_what(change)} | {_names(change.migrations)} | {_names(change.seeds)} | {_lock(change)} |"
        for change in changes[:MOST_ROWS]
    ]
    head = ["| part | change | migrations | seeds | strongest lock |", "|---|---|---|---|---|"]
    yield "\n".join([*head, *rows, *_rest(changes, "| and {} more | | | | |")])
    counted = ((number, verb if verb == "unchanged" else f"to {verb}") for verb, number in document.counts.items())
    yield ", ".join(f"{number} {verb}" for number, verb in counted if number) + "."


def _what(change: PartChange) -> str:
    words = {"new": f"new {change.kind}", "removed": f"**{change.kind} removed**", "changed": change.kind}
    return words[change.status]


def _names(files: Sequence[FilePlan]) -> str:
    if len(files) > MOST_NAMES:
        return f"{len(files)} files"
    return ", ".join(f"{code(file.file)}{' **destructive**' if file.destroys else ''}" for file in files)


def _lock(change: PartChange) -> str:
    """Return the strongest lock that the migrations take on a table that was there before; in a new database there is none."""
    if change.status == "new":
        return ""
    found = [part for file in change.migrations for part in file.plan.split(SEPARATOR)]
    locks = [part for part in found if part.rpartition(": ")[2] in MODES]
    return code(max(locks, key=lambda part: MODES.index(part.rpartition(": ")[2]))) if locks else ""


def _details(document: Document) -> Iterator[str]:
    for change in (*document.databases, *document.parts):
        yield _folded(f"{change.kind} {code(change.name)}", _change_lines(change))
    if document.unknown and document.verdict != "unchanged":
        yield _folded("What a preview cannot know", (f"- {code(text)}" for text in document.unknown))


def _change_lines(change: PartChange) -> Iterator[str]:
    for file in (*change.migrations, *change.seeds):
        yield f"- {code(file.file)}{': ' + code(file.plan) if file.plan else ''}"
        yield from (f"  - line {work_line}" for work_line in _work_lines(file))
        for finding in file.findings[:MOST_ROWS]:
            yield f"  - {finding.severity} {code(finding.rule)} in line {finding.line}: {code(finding.message)}"
    for resource in change.resources:
        if resource.type in _SAID_BY_FILES and (change.migrations or change.seeds):
            continue
        properties = f": {code(', '.join(resource.properties))}" if resource.properties else ""
        yield f"- {resource.op} {code(f'{resource.type} {resource.name}')}{properties}"


def _work_lines(file: FilePlan) -> Iterator[str]:
    """Say which statements have to do with all rows of a table that is large, or may be."""
    for statement in file.statements[:MOST_ROWS]:
        for work in statement.work:
            rows = f", {in_words(work.rows)}" if work.rows else ""
            yield f"{statement.line}: {code(statement.command)} {code(str(work))}{rows}"


def _folded(title: str, lines: Iterable[str]) -> str:
    return "\n".join([f"<details><summary>{title}</summary>", "", *lines, "", "</details>"])


def _rest(found: Sequence[object], phrase: str) -> list[str]:
    more = len(found) - MOST_ROWS
    return [phrase.format(more)] if more > 0 else []
