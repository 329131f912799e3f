"""What earlier statements made, as far as the linter asks: learnt from the files alone, statement by statement."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from keelson.migrations.grammar import Node
from keelson.migrations.lint.calls import Call, calls_in
from keelson.migrations.lint.names import plain, subjects_of
from keelson.migrations.lint.reading import Parsed
from keelson.migrations.lint.types import ColumnType
from keelson.migrations.locks import effects_of, enum_name, table_name
from keelson.migrations.losses import object_name
from keelson.migrations.statements import TIMESCALE_OPTIONS

_UNIQUE = frozenset({"CONSTR_UNIQUE", "CONSTR_PRIMARY"})


@dataclass(slots=True)
class Known:
    """What is known before a statement.

    Attributes:
        made: What pending files have made themselves: nobody uses it yet.
        there: What files that ran have made.
        added: Columns, by table and name, that pending files have added.
        hypertables: The columns of time and space of each hypertable.
        compressed: Hypertables whose chunks are compressed.
        columns: The types of columns, by table and name.
        keys: The columns of each unique constraint or index of a table.
        checked: Columns, by table and name, of which a valid constraint says that they are never NULL.
        unproven: The column of each such constraint that is not validated, by table and constraint.
        secured: Tables with row level security.
        with_policies: Tables with a policy.
    """

    made: set[str] = field(default_factory=set)
    there: set[str] = field(default_factory=set)
    added: set[tuple[str, str]] = field(default_factory=set)
    hypertables: dict[str, set[str]] = field(default_factory=dict)
    compressed: set[str] = field(default_factory=set)
    columns: dict[tuple[str, str], ColumnType] = field(default_factory=dict)
    keys: dict[str, set[tuple[str, ...]]] = field(default_factory=dict)
    checked: set[tuple[str, str]] = field(default_factory=set)
    unproven: dict[tuple[str, str], str] = field(default_factory=dict)
    secured: set[str] = field(default_factory=set)
    with_policies: set[str] = field(default_factory=set)

    def is_made(self, name: str) -> bool:
        """Say whether pending files made what has this name, or its schema."""
        schema = name.rpartition(".")[0]
        return name in self.made or bool(schema and schema in self.made)

    def is_new(self, statement: Parsed) -> bool:
        """Say whether a statement is only about what pending files made themselves."""
        names = subjects_of(statement.kind, statement.node)
        return bool(names) and all(self.is_made(name) for name in names)

    def learn(self, statement: Parsed, *, pending: bool) -> None:
        """Take in what a statement makes; `pending` says that it has not run yet."""
        if pending:
            self.made.update(name for name in _made(statement, self.there) if name)
            self.added.update(_added(statement))
        else:
            self.there.update(name for name in _made(statement, ()) if name)
        if reader := _READERS.get(statement.kind):
            reader(self, statement.node)
        for call in calls_in(statement):
            _read_call(self, call)

    def settle(self) -> None:
        """Take what pending files made for what was there: they have run."""
        self.there |= self.made
        self.made.clear()
        self.added.clear()

    def rename(self, old: str, new: str) -> None:
        """Know by another name what is known of a table or of something else."""
        for names in (self.made, self.compressed, self.secured, self.with_policies):
            if old in names:
                names.add(new)
        for of_columns in (self.added, self.checked):
            of_columns.update({(new, column) for table, column in of_columns if table == old})
        if old in self.hypertables:
            self.hypertables[new] = self.hypertables.pop(old)
        if old in self.keys:
            self.keys[new] = self.keys.pop(old)
        self.columns |= {(new, column): kind for (table, column), kind in self.columns.items() if table == old}
        self.unproven |= {(new, name): column for (table, name), column in self.unproven.items() if table == old}

    def forget(self, table: str) -> None:
        """Know nothing of a table any more: it is gone."""
        self.hypertables.pop(table, None)
        self.compressed.discard(table)
        self.keys.pop(table, None)
        self.columns = {key: kind for key, kind in self.columns.items() if key[0] != table}
        self.checked = {key for key in self.checked if key[0] != table}


def _read_call(known: Known, call: Call) -> None:
    table = plain(call.text(0, "relation", "main_table", "hypertable"))
    if call.name == "create_hypertable" and table:
        known.hypertables[table] = set()
    if call.name in {"create_hypertable", "add_dimension"} and table:
        columns = {call.text(1, "time_column_name", "column_name", "dimension"), call.text(2, "partitioning_column")}
        known.hypertables.setdefault(table, set()).update(columns - {""})


def _read_creation(known: Known, node: Node) -> None:
    table = plain(table_name(node.relation))
    known.forget(table)
    for element in node.table_elts:
        if element.WhichOneof("node") == "column_def":
            _read_column(known, table, element.column_def)
    known.keys[table] = {tuple(keys) for keys in unique_keys(element for element in node.table_elts)}
    options = {option.def_elem.defname: option.def_elem for option in node.options if _is_timescale(option)}
    if "hypertable" in options:
        column = options.get("partition_column")
        known.hypertables[table] = {column.arg.string.sval} if column else set()


def _read_column(known: Known, table: str, column: Node) -> None:
    known.columns[table, column.colname] = ColumnType.of(column.type_name)
    if any(enum_name(entry.constraint, "contype") == "CONSTR_NOTNULL" for entry in column.constraints):
        known.checked.add((table, column.colname))


def _read_change(known: Known, node: Node) -> None:
    table = plain(table_name(node.relation))
    for command in (entry.alter_table_cmd for entry in node.cmds):
        definition = getattr(command, "def")
        change = enum_name(command, "subtype")
        if change == "AT_AddColumn":
            _read_column(known, table, definition.column_def)
        elif change == "AT_AlterColumnType":
            known.columns[table, command.name] = ColumnType.of(definition.column_def.type_name)
        elif change == "AT_AddConstraint":
            _read_check(known, table, definition.constraint)
            known.keys.setdefault(table, set()).update(tuple(keys) for keys in unique_keys([definition]))
        elif change == "AT_ValidateConstraint":
            known.checked.update((table, column) for column in [known.unproven.pop((table, command.name), "")])
        elif change in {"AT_DropNotNull", "AT_DropConstraint", "AT_DropColumn"}:
            known.checked = {entry for entry in known.checked if entry[0] != table}
        elif change == "AT_EnableRowSecurity":
            known.secured.add(table)
        elif change == "AT_SetRelOptions" and _sets_compression(definition):
            known.compressed.add(table)


def _read_index(known: Known, node: Node) -> None:
    if node.unique:
        keys = tuple(entry.index_elem.name for entry in node.index_params)
        known.keys.setdefault(plain(table_name(node.relation)), set()).add(keys)


def unique_keys(definitions: Iterable[Node]) -> Iterator[list[str]]:
    """Yield the columns of each unique constraint or primary key among definitions of columns and constraints."""
    for definition in definitions:
        if enum_name(definition.constraint, "contype") in _UNIQUE and definition.constraint.keys:
            yield [key.string.sval for key in definition.constraint.keys]
        column = definition.column_def
        if {enum_name(entry.constraint, "contype") for entry in column.constraints} & _UNIQUE:
            yield [column.colname]


def _read_policy(known: Known, node: Node) -> None:
    known.with_policies.add(plain(table_name(node.table)))


def _read_check(known: Known, table: str, constraint: Node) -> None:
    test = constraint.raw_expr.null_test
    columns = [field.string.sval for field in test.arg.column_ref.fields]
    if len(columns) != 1 or enum_name(test, "nulltesttype") != "IS_NOT_NULL":
        return
    if constraint.skip_validation:
        known.unproven[table, constraint.conname] = columns[0]
    else:
        known.checked.add((table, columns[0]))


def _read_rename(known: Known, node: Node) -> None:
    """Let what is renamed be known by its new name."""
    kind = enum_name(node, "rename_type")
    if kind == "OBJECT_COLUMN":
        key = (plain(table_name(node.relation)), node.subname)
        if key in known.columns:
            known.columns[key[0], node.newname] = known.columns.pop(key)
        return
    if node.relation.relname and node.subname:  # a part of a table
        return
    old = plain(table_name(node.relation) if node.relation.relname else _object_renamed(node))
    known.rename(old, f"{old.rpartition('.')[0]}.{node.newname}".lstrip("."))


def _object_renamed(node: Node) -> str:
    return object_name(node.object) if node.HasField("object") else str(node.subname)


def _read_removal(known: Known, node: Node) -> None:
    for entry in node.objects:
        name = plain(object_name(entry))
        known.made.discard(name)
        if enum_name(node, "remove_type") == "OBJECT_TABLE":
            known.forget(name)


def _made(statement: Parsed, there: Collection[str]) -> Iterator[str]:
    """Yield the names of what a statement makes, those too that PostgreSQL gives; what it replaces was `there`."""
    node = statement.node
    creates, _ = effects_of(statement.kind, node)
    name = plain(creates.rpartition(" ")[2])
    if creates and not (getattr(node, "replace", False) and name in there):
        yield name
    if statement.kind == "create_stmt":
        yield from (
            f"{prefix}{entry}" for prefix in [_schema(name)] for entry in _parts_of(node, name.rpartition(".")[2])
        )
    elif statement.kind == "index_stmt" and not node.idxname:
        table = plain(table_name(node.relation))
        columns = [entry.index_elem.name or "expr" for entry in node.index_params]
        yield _schema(table) + "_".join([table.rpartition(".")[2], *columns, "idx"])


def _schema(name: str) -> str:
    schema = name.rpartition(".")[0]
    return f"{schema}." if schema else ""


_ENDINGS = {"CONSTR_PRIMARY": "pkey", "CONSTR_UNIQUE": "key", "CONSTR_FOREIGN": "fkey", "CONSTR_EXCLUSION": "excl"}


def _parts_of(node: Node, table: str) -> Iterator[str]:
    """Yield the names of the indexes, constraints and sequences that come with a table."""
    for element in node.table_elts:
        column = element.column_def
        for constraint, columns in (
            (element.constraint, [key.string.sval for key in element.constraint.keys]),
            *((entry.constraint, [column.colname]) for entry in column.constraints),
        ):
            kind = enum_name(constraint, "contype")
            ending = _ENDINGS.get(kind, "check")
            yield constraint.conname or "_".join([table, *(columns if ending != "pkey" else []), ending])
            if kind == "CONSTR_IDENTITY":
                yield f"{table}_{column.colname}_seq"
        if ColumnType.of(column.type_name).is_serial:
            yield f"{table}_{column.colname}_seq"


def _added(statement: Parsed) -> Iterator[tuple[str, str]]:
    if statement.kind == "alter_table_stmt":
        table = plain(table_name(statement.node.relation))
        for command in (entry.alter_table_cmd for entry in statement.node.cmds):
            if enum_name(command, "subtype") == "AT_AddColumn":
                yield table, getattr(command, "def").column_def.colname


def _is_timescale(option: Node) -> bool:
    return option.def_elem.defnamespace in TIMESCALE_OPTIONS


def _sets_compression(definition: Node) -> bool:
    names = {option.def_elem.defname for option in definition.list.items if _is_timescale(option)}
    return bool(names & {"compress", "enable_columnstore"})


_READERS: Mapping[str, Callable[[Known, Node], None]] = {
    "create_stmt": _read_creation,
    "alter_table_stmt": _read_change,
    "index_stmt": _read_index,
    "create_policy_stmt": _read_policy,
    "rename_stmt": _read_rename,
    "drop_stmt": _read_removal,
}
