"""Whether what is said of personal rows fits the database: nothing that looks personal goes unnamed, nothing that stays goes along."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from keelson.postgres.belonging import table_label
from keelson.privacy.catalog import Catalog
from keelson.privacy.subject import Subject
from keelson.settings.privacy import KEY

PERSONAL = re.compile(
    r"""(.+_)?(user|customer|person|member|owner|actor|client|patient|employee|author)_?id
    |(.+_)?(e_?mail|e_?mail_address|phone|phone_number|mobile|ip|ip_address|user_agent|username|user_name|login_name)
    |(date_of_birth|birthday|birth_date|(given|family|first|last|middle|full|display|maiden)_name|surname|passport_no|ssn|tax_id|iban)
    |(created|updated|requested|changed|approved|deleted|invited|assigned)_by""",
    re.VERBOSE | re.IGNORECASE,
)


def faults(catalog: Catalog, subject: Subject) -> Iterator[str]:
    """Yield a sentence for each thing that is wrong or missing."""
    yield from _of_what_is_named(catalog, subject)
    left = dict(unnamed(catalog, subject))
    for table, columns in left.items():
        yield f"{subject.source} does not name {table}, which holds {', '.join(columns)}: say whose its rows are, or put it under not_personal with the reason"
    excused = {table_label(name) for name in subject.definition.not_personal}
    yield from _of_references(catalog, subject, excused | left.keys())


def looks_personal(catalog: Catalog) -> Iterator[tuple[str, list[str]]]:
    """Yield each table that has columns which look like a person's, with those."""
    for table, columns in catalog.tables.items():
        if found := [name for name in columns if PERSONAL.fullmatch(name)]:
            yield table, found


def unnamed(catalog: Catalog, subject: Subject) -> Iterator[tuple[str, list[str]]]:
    """Yield each table of which nothing is said, with the columns that look like a person's."""
    excused = subject.definition.not_personal
    tables = {table_label(name) for name in excused if table_label(name) in catalog.tables}
    columns = {table_label(name.rpartition(".")[0]) + "." + name.rpartition(".")[2] for name in excused if "." in name}
    for table, found in looks_personal(catalog):
        left = [name for name in found if f"{table}.{name}" not in columns]
        if left and table not in subject.tables and table not in tables:
            yield table, left


def _of_what_is_named(catalog: Catalog, subject: Subject) -> Iterator[str]:
    for label, table in subject.tables.items():
        if label not in catalog.tables:
            yield f"{subject.source} names {label}, which does not exist: take it out"
            continue
        ways = subject.belonging.ways[label]
        values = table.erase if isinstance(table.erase, dict) else {}
        for column in sorted({*(way.column for way in ways), *values, *table.hide} - set(catalog.tables[label])):
            yield f"{subject.source} names the column {label}.{column}, which does not exist: correct it"
        for way in ways:
            if way.table in catalog.tables and way.key not in catalog.tables[way.table]:
                yield f"{subject.source} names the column {way.table}.{way.key}, which does not exist: correct it"
        if any(KEY in (value or "") for value in values.values()) and not catalog.key_of(label):
            yield f"{subject.source} writes {KEY} into {label}, which has no primary key: write a text"
        for column, value in values.items():
            there = catalog.tables[label].get(column)
            if there and there.required and value is None:
                yield f"{subject.source} empties {label}.{column}, which must have a value: write a text there"


def _of_references(catalog: Catalog, subject: Subject, excused: Collection[str]) -> Iterator[str]:
    for key in catalog.foreign_keys:
        parent, child = subject.tables.get(key.parent), subject.tables.get(key.child)
        if parent is None or key.child == key.parent:
            continue
        if child is None and key.child not in excused:
            yield f"{subject.source} does not name {key.child}, whose rows refer to {key.parent}: say what erasing does to them, or put it under not_personal with the reason"
        elif parent.erase == "delete" and child and child.erase != "delete":
            if key.on_delete == "c":
                yield f"rows of {key.child} are to stay, but are deleted with those of {key.parent}: let {key.parent} be anonymised"
            elif key.on_delete in {"a", "r"}:
                yield f"rows of {key.child} are to stay and refer to {key.parent}, so those cannot be deleted: let {key.parent} be anonymised"
