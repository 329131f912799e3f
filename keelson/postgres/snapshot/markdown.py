"""A schema's documentation as Markdown: the same text for the same schema, whoever made it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from keelson.postgres.snapshot.model import Facts, Key, Snapshot

Parts = Mapping[str, Facts]

TABLES = ("table", "foreign table")
VIEWS = ("view", "materialized view")
ROUTINES = ("function", "procedure", "aggregate")

_NAME = r'(?:"(?:[^"]|"")+"|\w+)'
_FOREIGN_KEY = re.compile(
    rf"FOREIGN KEY \((?P<columns>.*?)\) REFERENCES (?P<table>{_NAME}\.{_NAME})\((?P<others>.*?)\)(?P<rest>.*)"
)
_UNIQUE = re.compile(r"(?P<kind>PRIMARY KEY|UNIQUE)[^(]*\((?P<columns>.*?)\)")
_SHORT = {
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
    "character varying": "varchar",
}


@dataclass(frozen=True, slots=True)
class Relation:
    """A foreign key: `columns` of `table` are `others` of `to`."""

    table: str
    columns: str
    to: str
    others: str
    rest: str


def as_markdown(snapshot: Snapshot, title: str, *, description: str = "", made_by: str) -> str:
    """Return the documentation of a catalog.

    Args:
        snapshot: The catalog.
        title: What the database is called.
        description: What it is for, in a sentence.
        made_by: The command that makes this text.
    """
    relations = sorted(_relations(snapshot), key=lambda each: (each.table, each.columns))
    sections = [
        f"# {title}",
        description,
        f"Made by `{made_by}` from the database's catalog; changes here are lost.",
        *_overview(snapshot),
        *_diagram(snapshot, relations),
        *_section("Tables", (_table(key, parts, relations) for key, parts in _of(snapshot, TABLES))),
        *_section("Views", (_view(key, parts) for key, parts in _of(snapshot, VIEWS))),
        *_section("Functions", _lines(_routine(key, parts) for key, parts in _of(snapshot, ROUTINES))),
        *_section("Types", _lines(_type(key, parts) for key, parts in _of(snapshot, ("type",)))),
        *_extensions(snapshot),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def _of(snapshot: Snapshot, kinds: Sequence[str]) -> list[tuple[Key, Parts]]:
    return [
        (key, parts)
        for key, parts in sorted(snapshot.objects.items(), key=lambda each: each[0].name)
        if key.kind in kinds
    ]


def _section(title: str, members: Iterable[str]) -> Iterator[str]:
    found = list(members)
    if found:
        yield f"## {title}"
        yield from found


def _lines(members: Iterable[str]) -> list[str]:
    """Return a list as one block, none where it has no members."""
    return list(filter(None, ["\n".join(members)]))


def _overview(snapshot: Snapshot) -> Iterator[str]:
    schemas = [(key, parts) for key, parts in _of(snapshot, ("schema",)) if key.name != "public"]
    if schemas:
        yield _grid(("schema", "what it is for"), ((f"`{key.name}`", _comment(parts)) for key, parts in schemas))
    objects = _of(snapshot, (*TABLES, *VIEWS))
    if objects:
        rows = ((f"[{_plain(key.name)}](#{_anchor(key.name)})", key.kind, _comment(parts)) for key, parts in objects)
        yield _grid(("name", "kind", "what it holds"), rows)


def _table(key: Key, parts: Parts, relations: Sequence[Relation]) -> str:
    own = parts.get("", {})
    blocks = [
        f"### {_plain(key.name)}",
        own.get("comment", ""),
        *_storage(parts),
        _columns(parts, [each for each in relations if each.table == key.name]),
        *_listed("Constraints", parts, "constraint", _defined),
        *_listed("Indexes", parts, "index", _defined),
        *_listed("Triggers", parts, "trigger", _defined),
        *_policies(own, parts),
        *_referenced(key, relations),
    ]
    return "\n\n".join(filter(None, blocks))


def _storage(parts: Parts) -> Iterator[str]:
    own = parts.get("", {})
    if "partitioned by" in own:
        yield f"Partitioned by {_code(own['partitioned by'])}."
    if "partition" in own:
        yield f"A partition of {_code(own.get('inherits', ''))}: {_code(own['partition'])}."
    for label, facts in parts.items():
        if label.startswith("dimension "):
            yield f"A hypertable by `{_bare(_after(label))}`, in chunks of {facts.get('interval') or facts.get('partitions', '')}."


def _columns(parts: Parts, relations: Sequence[Relation]) -> str:
    columns = [(_after(label), facts) for label, facts in parts.items() if label.startswith("column ")]
    columns.sort(key=lambda each: each[1].get("position", ""))
    to = {column: each for each in relations for column in each.columns.split(", ")}
    rows = (
        (
            f"`{_bare(name)}`",
            _code(_type_of(facts)),
            "" if "not null" in facts else "yes",
            _default(facts),
            _meaning(facts, to.get(name)),
        )
        for name, facts in columns
    )
    return _grid(("column", "type", "null", "default", "what it is"), rows) if columns else ""


def _type_of(facts: Facts) -> str:
    collation = f" COLLATE {facts['collation']}" if "collation" in facts else ""
    return facts.get("type", "") + collation


def _default(facts: Facts) -> str:
    if "identity" in facts:
        return f"identity, {facts['identity']}"
    if "generated" in facts:
        return f"generated: {_code(facts['generated'])}"
    return _code(facts["default"]) if "default" in facts else ""


def _meaning(facts: Facts, relation: Relation | None) -> str:
    to = f"→ [{_plain(relation.to)}](#{_anchor(relation.to)})" if relation else ""
    return " ".join(filter(None, (facts.get("comment", ""), to)))


def _listed(title: str, parts: Parts, kind: str, told: Callable[[str, Facts], str]) -> Iterator[str]:
    lines = [
        f"- {told(_after(label), facts)}" for label, facts in sorted(parts.items()) if label.startswith(f"{kind} ")
    ]
    if lines:
        yield "\n".join([f"{title}:", "", *lines])


def _defined(name: str, facts: Facts) -> str:
    notes = [f"{fact} {facts[fact]}" for fact in ("valid", "fires") if fact in facts]
    comment = facts.get("comment", "")
    return " ".join(filter(None, (f"`{name}`: {_code(facts.get('definition', ''))}", *notes, comment)))


def _policies(own: Facts, parts: Parts) -> Iterator[str]:
    if "row security" in own:
        yield f"Row-level security is {own['row security']}."
    yield from _listed("Policies", parts, "policy", _policy)


def _policy(name: str, facts: Facts) -> str:
    conditions = [f"{word} {_code(facts[word])}" for word in ("using", "with check") if word in facts]
    restrictive = " (restrictive)" if "permissive" in facts else ""
    said = f"`{name}`{restrictive}: {facts.get('for', 'ALL')} for {facts.get('roles', '')}"
    return ", ".join([said, *conditions])


def _referenced(key: Key, relations: Sequence[Relation]) -> Iterator[str]:
    lines = [
        f"- [{_plain(each.table)}](#{_anchor(each.table)}) by `{each.columns}`{each.rest}"
        for each in relations
        if each.to == key.name
    ]
    if lines:
        yield "\n".join(["Referenced by:", "", *lines])


def _view(key: Key, parts: Parts) -> str:
    own = parts.get("", {})
    query = own.get("definition") or parts.get("continuous aggregate", {}).get("query", "")
    lines = "\n".join(line.rstrip() for line in query.strip().splitlines())
    kind = "A materialized view." if key.kind == "materialized view" else ""
    blocks = [f"### {_plain(key.name)}", own.get("comment", ""), kind, _columns(parts, ()), f"```sql\n{lines}\n```"]
    return "\n\n".join(filter(None, [*blocks, *_listed("Indexes", parts, "index", _defined)]))


def _routine(key: Key, parts: Parts) -> str:
    own = parts.get("", {})
    name = key.name.partition("(")[0]
    result = f" → `{own['result']}`" if "result" in own else ""
    told = f"{key.kind}, {own['language']}" if "language" in own and key.kind != "aggregate" else key.kind
    said = f"`{_plain(name)}({own.get('arguments', '')})`{result} ({told})"
    return f"- {said}: {own['comment']}" if "comment" in own else f"- {said}"


def _type(key: Key, parts: Parts) -> str:
    own = parts.get("", {})
    attributes = [
        f"{_after(label)} {facts.get('type', '')}" for label, facts in parts.items() if label.startswith("column ")
    ]
    checks = [facts.get("definition", "") for label, facts in parts.items() if label.startswith("constraint ")]
    if "labels" in own:
        what = f"enum: {own['labels']}"
    elif "range" in own:
        what = f"range {own['range']}"
    elif attributes:
        what = f"composite: {', '.join(attributes)}"
    else:
        what = " ".join([f"domain over {own.get('type', '')}", *(["NOT NULL"] if "not null" in own else []), *checks])
    comment = f": {own['comment']}" if "comment" in own else ""
    return f"- `{_plain(key.name)}`, {what}{comment}"


def _extensions(snapshot: Snapshot) -> Iterator[str]:
    names = [key.name for key, _ in _of(snapshot, ("extension",)) if key.name != "plpgsql"]
    if names:
        yield "## Extensions"
        yield ", ".join(f"`{name}`" for name in names)


def _relations(snapshot: Snapshot) -> Iterator[Relation]:
    for key, parts in _of(snapshot, TABLES):
        for label, facts in parts.items():
            if label.startswith("constraint ") and (found := _FOREIGN_KEY.match(facts.get("definition", ""))):
                yield Relation(key.name, found["columns"], found["table"], found["others"], found["rest"])


def _diagram(snapshot: Snapshot, relations: Sequence[Relation]) -> Iterator[str]:
    tables = [(key, parts) for key, parts in _of(snapshot, TABLES) if "partition" not in parts.get("", {})]
    if not tables:
        return
    known = {key.name: parts for key, parts in tables}
    lines = [line for key, parts in tables for line in _entity(key, parts)]
    lines += [_edge(each, known) for each in relations if {each.table, each.to} <= known.keys()]
    yield "\n".join(["```mermaid", "erDiagram", *(f"    {line}" for line in lines), "```"])


def _entity(key: Key, parts: Parts) -> Iterator[str]:
    keys = _keys(parts)
    yield f"{_entity_name(key.name)} {{"
    columns = [(_after(label), facts) for label, facts in parts.items() if label.startswith("column ")]
    for name, facts in sorted(columns, key=lambda each: each[1].get("position", "")):
        marks = ",".join(sorted(keys.get(name, set()), key=("PK", "FK", "UK").index))
        yield f"    {_word(_short(facts.get('type', '')))} {_word(name)} {marks}".rstrip()
    yield "}"


def _keys(parts: Parts) -> dict[str, set[str]]:
    """Return what Mermaid calls the columns of keys; of several columns that are unique together none is by itself."""
    found: dict[str, set[str]] = {}
    for label, facts in parts.items():
        definition = facts.get("definition", "") if label.startswith("constraint ") else ""
        mark, columns = _key(definition)
        if mark != "UK" or ", " not in columns:
            for column in filter(None, columns.split(", ")):
                found.setdefault(column, set()).add(mark)
    return found


def _key(definition: str) -> tuple[str, str]:
    """Return Mermaid's word for a constraint that makes a key, and its columns; two empty texts for others."""
    if foreign := _FOREIGN_KEY.match(definition):
        return "FK", foreign["columns"]
    if unique := _UNIQUE.match(definition):
        return ("PK" if unique["kind"] == "PRIMARY KEY" else "UK"), unique["columns"]
    return "", ""


def _edge(relation: Relation, known: Mapping[str, Parts]) -> str:
    parts = known[relation.table]
    needed = all("not null" in parts.get(f"column {column}", {}) for column in relation.columns.split(", "))
    unique = {each["columns"] for facts in parts.values() if (each := _UNIQUE.match(facts.get("definition", "")))}
    left = "|o" if relation.columns in unique else "}o"
    right = "||" if needed else "o|"
    label = relation.columns.replace('"', "")
    return f'{_entity_name(relation.table)} {left}--{right} {_entity_name(relation.to)} : "{label}"'


def _grid(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _code(text: str) -> str:
    """Return a code span; one with a backtick in it is fenced by two."""
    plain = " ".join(text.split())
    return f"`` {plain} ``" if "`" in plain else f"`{plain}`" if plain else ""


def _comment(parts: Parts) -> str:
    return parts.get("", {}).get("comment", "")


def _after(label: str) -> str:
    return label.partition(" ")[2]


def _bare(column: str) -> str:
    """Return a column's name without the quotes that only a keyword needs."""
    return column[1:-1] if re.fullmatch(r'"[a-z_]\w*"', column) else column


def _plain(name: str) -> str:
    return name.removeprefix("public.")


def _anchor(name: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", _plain(name).lower()).replace(" ", "-")


def _entity_name(name: str) -> str:
    plain = _plain(name).replace('"', "")
    return plain if re.fullmatch(r"[A-Za-z_]\w*", plain) else f'"{plain}"'


def _short(kind: str) -> str:
    bare = re.sub(r"\([^)]*\)", "", kind)
    return _SHORT.get(bare, bare).rpartition(".")[2]


def _word(text: str) -> str:
    """Mermaid takes letters, digits, - _ [ ] in types and names of attributes."""
    word = re.sub(r"[^\w\[\]-]+", "_", text).strip("_")
    return word if re.match(r"[A-Za-z_]", word) else f"_{word}"
