"""The rules of the linter: what each is about, what to do instead, and how much it weighs.

A rule has a level, and its severity follows from that and from the environment:

| level | protected environments | others |
|---|---|---|
| `fault`: the file cannot work, or means nothing | error | error |
| `danger`: it may stop, break or lose something that is in use | error | warning |
| `advice`: another way is better | warning | warning |
| `off` | off | off |

Settings name another severity for a rule. What a rule says in general stands here; `{table}` becomes what
the statement is about.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from keelson.errors import SettingsError

Level = Literal["fault", "danger", "advice", "off"]
Severity = Literal["error", "warning", "off"]

MOST_NAMES = 3
OUTSIDE = "in a file with `-- keelson: no-transaction`"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that the linter looks for.

    Attributes:
        id: its name in settings, exceptions and findings.
        level: how much it weighs.
        says: one sentence: what is wrong and what to do instead.
        old_only: whether it is about what was there before alone, and so never about what pending files make themselves.
        why_off: why it is off, where it is.
        ours: whether it is Keelson's own; else squawk looks for it.
    """

    id: str
    level: Level
    says: str
    old_only: bool = True
    why_off: str = ""
    ours: bool = False

    def about(self, names: Iterable[str] = ()) -> str:
        """Return the sentence about what a statement names."""
        listed = list(names)
        more = f" and {len(listed) - MOST_NAMES} more" if len(listed) > MOST_NAMES else ""
        return self.says.replace("{table}", ", ".join(listed[:MOST_NAMES]) + more or "…")


def severity_of(rule: Rule, *, protected: bool, chosen: Mapping[str, Severity]) -> Severity:
    """Return how a rule's findings count in an environment, by what the settings chose."""
    usual: Mapping[Level, Severity] = {
        "fault": "error",
        "danger": "error" if protected else "warning",
        "advice": "warning",
        "off": "off",
    }
    return chosen.get(rule.id, usual[rule.level])


def refuse_unknown(names: Iterable[str]) -> None:
    """Check that rules of these names exist; raises SettingsError."""
    for name in names:
        if name not in RULES:
            msg = f"there is no rule {name!r}; {suggestion(name)}"
            raise SettingsError(msg)


def suggestion(name: str) -> str:
    """Return what somebody may have meant who wrote a name that no rule has."""
    near = difflib.get_close_matches(name, RULES, n=1)
    return f"did you mean {near[0]!r}?" if near else "docs/lint.md lists the rules"


def _squawk(id_: str, level: Level, says: str, *, old_only: bool = True) -> Rule:
    return Rule(id_, level, says, old_only=old_only)


def _off(id_: str, says: str, why: str) -> Rule:
    return Rule(id_, "off", says, why_off=why)


def _ours(id_: str, level: Level, says: str, *, old_only: bool = True, why_off: str = "") -> Rule:
    return Rule(id_, level, says, old_only=old_only, why_off=why_off, ours=True)


_ENGINE_REFUSES = "the engine itself refuses it, with the line"
_ENGINE_WAITS = "the engine sets lock_timeout for every file, and tries again"
_ORDINARY = "an ordinary step; for those who run old and new programs side by side for long"

_INDEXES = (
    _squawk(
        "require-concurrent-index-creation",
        "danger",
        f"nobody can write to {{table}} until the index is built; use CREATE INDEX CONCURRENTLY {OUTSIDE}",
    ),
    _squawk(
        "require-concurrent-index-deletion",
        "danger",
        f"nobody can use the table of {{table}} while DROP INDEX waits and works; use DROP INDEX CONCURRENTLY {OUTSIDE}",
    ),
    _squawk(
        "require-concurrent-reindex",
        "danger",
        f"nobody can write to {{table}} until its indexes are built anew; use REINDEX … CONCURRENTLY {OUTSIDE}",
    ),
    _squawk(
        "require-concurrent-partition-detach",
        "danger",
        f"nobody can use {{table}} while the partition is taken off; use DETACH PARTITION … CONCURRENTLY {OUTSIDE}",
    ),
    _off(
        "ban-concurrent-index-creation-in-transaction",
        "CREATE INDEX CONCURRENTLY cannot run in a transaction",
        _ENGINE_REFUSES,
    ),
)

_CONSTRAINTS = (
    _squawk(
        "constraint-missing-not-valid",
        "danger",
        "all rows of {table} are read while nobody can write to it; add the constraint NOT VALID, and VALIDATE CONSTRAINT in "
        "a later file",
    ),
    _squawk(
        "adding-foreign-key-constraint",
        "danger",
        "all rows of {table} are read while nobody can write to it or to the table that it refers to; add the key NOT VALID, "
        "and VALIDATE CONSTRAINT in a later file",
    ),
    _squawk(
        "disallowed-unique-constraint",
        "danger",
        "nobody can use {table} while the constraint's index is built; build a unique index CONCURRENTLY first, and add the "
        "constraint USING INDEX",
    ),
    _squawk(
        "adding-serial-primary-key-field",
        "danger",
        "nobody can use {table} while the key's index is built; build a unique index CONCURRENTLY first, and add the key USING "
        "INDEX",
    ),
    _squawk(
        "ban-create-domain-with-constraint",
        "advice",
        "a domain's constraint cannot change without reading every table that uses it; put the CHECK on the tables",
        old_only=False,
    ),
    _squawk(
        "ban-alter-domain-with-add-constraint",
        "danger",
        "every table that uses the domain {table} is read while nobody can write to it; add the constraint NOT VALID, and "
        "VALIDATE CONSTRAINT in a later file",
    ),
    _squawk(
        "ban-drop-constraint",
        "advice",
        "rows that {table} refused until now come in from here on; make sure that all programs know",
    ),
)

_COLUMNS = (
    _squawk(
        "adding-field-with-default",
        "danger",
        "the default differs from row to row, so {table} is written anew while nobody can use it; add the column without it, "
        "set the default, and fill old rows in batches in a later file",
    ),
    _squawk(
        "adding-not-nullable-field",
        "danger",
        "all rows of {table} are read while nobody can use it, and one NULL makes the file fail; add CHECK (… IS NOT NULL) NOT "
        "VALID, validate it in a later file, and SET NOT NULL after that",
    ),
    _squawk(
        "adding-required-field",
        "danger",
        "the file fails as soon as {table} has a row; give the column a DEFAULT, or fill it before it becomes NOT NULL",
    ),
    _squawk(
        "changing-column-type",
        "danger",
        "{table} may be written anew while nobody can use it, and programs may not expect the new type; add a column of that "
        "type, fill it in batches, and change over",
    ),
    _squawk(
        "renaming-column",
        "danger",
        "programs that run fail at once; add a column with the new name to {table}, write to both, and drop the old one later",
    ),
    _squawk(
        "ban-drop-column",
        "danger",
        "the data of the column are lost and programs that still read it fail; first release programs that do not use it",
    ),
    _squawk(
        "ban-drop-not-null", "advice", "programs may meet NULL in {table} from now on; make sure that all of them can"
    ),
    _squawk(
        "ban-drop-default",
        "advice",
        "programs that leave the column of {table} out write NULL, or fail; make sure that all of them set it",
    ),
    _squawk(
        "ban-drop-generated-expression",
        "advice",
        "the column of {table} is not computed any more; make sure that programs write it",
    ),
    _squawk(
        "ban-alter-identity",
        "advice",
        "programs that rely on how {table} numbers its rows may fail; make sure that none does",
    ),
)

_TABLES = (
    _squawk(
        "renaming-table",
        "danger",
        "programs that run fail at once; leave a view with the old name, or make {table} anew and change over",
    ),
    _squawk(
        "renaming-object", "danger", "programs that know {table} by its old name fail at once; add a new one beside it"
    ),
    _squawk(
        "ban-set-schema", "danger", "programs that look for {table} in its old schema fail at once; leave a view there"
    ),
    _squawk(
        "ban-drop-table",
        "danger",
        "the rows of {table} are lost and programs that still use it fail; first release programs that do not, or rename it and "
        "drop it later",
    ),
    _squawk("ban-drop-schema", "danger", "all that is in {table} is lost; drop what is in it first, one by one"),
    _squawk(
        "ban-drop-sequence",
        "danger",
        "the numbers that {table} has given are lost, and what draws from it fails; first release programs that do not",
    ),
    _squawk(
        "ban-drop-type", "danger", "programs that still use the type {table} fail; first release programs that do not"
    ),
    _squawk(
        "ban-drop-domain",
        "danger",
        "programs that still use the domain {table} fail; first release programs that do not",
    ),
    _squawk(
        "ban-drop-extension",
        "danger",
        "all that needs the extension {table} fails, and database.yaml may make it again; take it out there",
    ),
    _squawk("ban-drop-view", "advice", "programs that still read {table} fail; first release programs that do not"),
    _squawk("ban-drop-function", "advice", "programs that still call {table} fail; first release programs that do not"),
    _squawk(
        "ban-truncate-cascade",
        "danger",
        "TRUNCATE … CASCADE empties every table that refers to {table} too; name the tables that are to be emptied",
    ),
    _squawk(
        "ban-drop-database",
        "danger",
        "no migration drops a database; take it out of the settings instead",
        old_only=False,
    ),
)

_TYPES = (
    _squawk(
        "prefer-timestamp-tz",
        "advice",
        "timestamp forgets the time zone, so its values mean nothing by themselves; use timestamptz",
        old_only=False,
    ),
    _squawk(
        "prefer-identity",
        "advice",
        "a serial's sequence has rights and an owner of its own; use GENERATED ALWAYS AS IDENTITY",
        old_only=False,
    ),
    _off(
        "ban-char-field",
        "char(n) pads values with blanks; use text or varchar",
        "what it is used for are codes of one length, such as currencies",
    ),
    _squawk(
        "identifier-too-long",
        "danger",
        "PostgreSQL cuts names after 63 bytes, and two long ones may become one; shorten it",
        old_only=False,
    ),
    _squawk(
        "ban-duplicate-column-assignments",
        "fault",
        "a column is set twice, which PostgreSQL refuses; take one out",
        old_only=False,
    ),
    _off(
        "prefer-text-field",
        "varchar(n) has a limit that only DDL changes; use text with a CHECK",
        "to raise the limit rewrites nothing since PostgreSQL 9.2",
    ),
    _off(
        "prefer-bigint-over-int",
        "an int ends at 2 billion; use bigint",
        "counters, years and amounts fit; `small-primary-key` looks at keys, which grow",
    ),
    _off("prefer-bigint-over-smallint", "a smallint ends at 32,767; use bigint", "as for prefer-bigint-over-int"),
)

_SESSION = (
    _off("require-lock-timeout", "set lock_timeout before a statement that locks", _ENGINE_WAITS),
    _off(
        "require-statement-timeout",
        "set statement_timeout before a statement that may take long",
        "what a statement may take is for its author to say; others wait for its locks, and those are bounded",
    ),
    _off("transaction-nesting", "a migration is one transaction already", _ENGINE_REFUSES),
    _off("ban-uncommitted-transaction", "a transaction is begun and not ended", _ENGINE_REFUSES),
    _off(
        "prefer-robust-stmts",
        "use IF EXISTS and IF NOT EXISTS, so that the file can run again",
        "after a failure nothing of a file stays, and one without a transaction goes on where it stopped; IF NOT EXISTS would "
        "hide that a table is another one than meant",
    ),
    _off(
        "require-table-schema",
        "write the schema before each name",
        "the engine sets search_path = public for all files",
    ),
    _off(
        "require-enum-value-ordering",
        "say BEFORE or AFTER which value a new one comes",
        "a new value at the end is what most files mean",
    ),
    _off("prefer-repack", "use pg_repack in place of this", "`table-rewrite` says the same without a further program"),
)

_STRICT = tuple(
    _off(id_, f"squawk's rule for {what}", _ORDINARY)
    for id_, what in {
        "ban-add-column": "new columns",
        "ban-add-composite-attribute": "new attributes of a composite type",
        "ban-add-enum-value": "new values of an enum",
        "ban-alter-database-options": "changed options of a database",
        "ban-alter-extension": "changed extensions",
        "ban-alter-function-options": "changed options of a function",
        "ban-alter-generated-expression": "a changed generated column",
        "ban-alter-policy-condition": "a changed condition of a policy",
        "ban-alter-policy-roles": "changed roles of a policy",
        "ban-alter-role-options": "changed options of a role",
        "ban-alter-row-level-security": "row level security switched on or off",
        "ban-alter-sequence-values": "a changed sequence",
        "ban-alter-system-options": "ALTER SYSTEM",
        "ban-alter-view-options": "changed options of a view",
        "ban-create-policy": "new policies",
        "ban-detach-inheritance": "a table that leaves its parent",
        "ban-disable-trigger": "triggers that are switched off",
        "ban-drop-index": "dropped indexes, concurrently or not",
        "ban-drop-policy": "dropped policies and rules",
        "ban-drop-trigger": "dropped triggers",
        "ban-new-write-restriction": "all that makes writes fail that passed before",
        "ban-replace-view-function": "CREATE OR REPLACE of views and functions",
        "ban-replica-identity": "a changed replica identity",
        "ban-revoke": "rights that are taken away",
        "ban-set-default": "changed defaults",
    }.items()
)

_OWN = (
    _ours(
        "needs-no-transaction",
        "fault",
        "this cannot run inside a transaction, and the file is one; begin it with `-- keelson: no-transaction`",
        old_only=False,
    ),
    _ours(
        "backfill-in-transaction",
        "danger",
        "rows of {table} are changed while the locks of earlier statements are held, for as long as that takes; change them in a "
        "file of their own",
    ),
    _ours(
        "data-dependent",
        "advice",
        "this fails if rows of {table} are alike in these columns; look for such rows first, and try it with `keelson migrate "
        "verify`",
    ),
    _ours(
        "exclusion-constraint",
        "danger",
        "all rows of {table} are read while nobody can use it, and no constraint of this kind can be added otherwise; do it "
        "while nobody works, or in a new table",
    ),
    _ours(
        "stored-generated-column",
        "danger",
        "{table} is written anew to compute the column, while nobody can use it; add a plain column, fill it in batches, and "
        "keep it by a trigger",
    ),
    _ours(
        "auto-increment-column",
        "danger",
        "{table} is written anew to number its rows, while nobody can use it; add a plain column, fill it in batches, and make "
        "it an identity after that",
    ),
    _ours(
        "table-rewrite",
        "danger",
        "{table} is written anew while nobody can use it; do it while nobody works, or in a new table",
    ),
    _ours(
        "index-over-many-columns",
        "advice",
        "an index over more than three columns is large and seldom used beyond the first ones; put those first that are looked "
        "for alone, and leave out the rest or INCLUDE it",
        old_only=False,
    ),
    _ours(
        "json-type",
        "advice",
        "json has no equality, so DISTINCT and UNION fail, and no index serves it; use jsonb",
        old_only=False,
    ),
    _ours(
        "small-primary-key",
        "advice",
        "a key of 32 bits or less ends, and to widen it later rewrites the table; use bigint",
        old_only=False,
    ),
    _ours(
        "definer-search-path",
        "danger",
        "{table} runs with its owner's rights, and its caller chooses by search_path what its names mean; add SET search_path to "
        "it",
        old_only=False,
    ),
    _ours(
        "function-search-path",
        "off",
        "what the names in {table} mean depends on the caller's search_path; add SET search_path to it",
        old_only=False,
        why_off="the caller's rights hold, all logins have the same search_path, and SET keeps SQL functions from being inlined",
    ),
    _ours(
        "row-security-without-policy",
        "advice",
        "row level security is on for {table} and no file makes a policy, so all but its owner see no row; add CREATE POLICY",
        old_only=False,
    ),
    _ours(
        "policy-without-row-security",
        "danger",
        "a policy on {table} does nothing until row level security is on; add ALTER TABLE … ENABLE ROW LEVEL SECURITY",
        old_only=False,
    ),
)

_TIMESCALE = (
    _ours(
        "hypertable-concurrent-index",
        "fault",
        "{table} is a hypertable, and TimescaleDB builds no index CONCURRENTLY there; use CREATE INDEX … WITH "
        f"(timescaledb.transaction_per_chunk) {OUTSIDE}",
        old_only=False,
    ),
    _ours(
        "hypertable-index",
        "danger",
        "nobody can write to the hypertable {table} until the index is built on all chunks; use CREATE INDEX … WITH "
        f"(timescaledb.transaction_per_chunk) {OUTSIDE}",
    ),
    _ours(
        "hypertable-unique-time",
        "fault",
        "TimescaleDB refuses a unique index, or primary key, of the hypertable {table} that lacks its time column; add it",
        old_only=False,
    ),
    _ours(
        "compressed-table-change",
        "danger",
        "chunks of {table} are compressed, and TimescaleDB refuses this change while one is; take compression off and decompress "
        "the chunks first, or make a new table",
    ),
    _ours(
        "aggregate-with-data",
        "fault",
        "a continuous aggregate cannot be filled in a transaction; add WITH NO DATA, and let its policy fill it",
        old_only=False,
    ),
    _ours(
        "refresh-in-transaction",
        "fault",
        f"refresh_continuous_aggregate cannot run in a transaction; call it {OUTSIDE}, or leave it to the policy",
        old_only=False,
    ),
    _ours(
        "create-hypertable-with-data",
        "advice",
        "nobody can use {table} while its rows move into chunks; make a new hypertable, copy in batches, and change over",
    ),
    _ours(
        "timescale-edition",
        "fault",
        "the server's TimescaleDB is the Apache edition, which has no compression, aggregates or policies; declare it in "
        "timescale.yaml, which does the same by other means",
        old_only=False,
    ),
    _ours(
        "timescale-in-yaml",
        "advice",
        "only one edition of TimescaleDB has this; declare it in timescale.yaml, so that every environment can run the file",
        old_only=False,
    ),
)

_ABOUT_LINTING = (
    _ours("allow-unknown-rule", "fault", "`keelson: allow` names a rule that there is not; correct it", old_only=False),
    _ours(
        "allow-without-reason",
        "fault",
        "`keelson: allow` gives no reason; write `-- keelson: allow RULE: why it is right here`",
        old_only=False,
    ),
    _ours("unused-allow", "advice", "this `keelson: allow` allows nothing; take it out", old_only=False),
    _ours(
        "not-linted",
        "advice",
        "squawk cannot read this, or the file has more than 16 MB of SQL, so no rule was applied to it; look for yourself",
        old_only=False,
    ),
)

RULES: Mapping[str, Rule] = {
    rule.id: rule
    for rules in (
        _INDEXES,
        _CONSTRAINTS,
        _COLUMNS,
        _TABLES,
        _TYPES,
        _OWN,
        _TIMESCALE,
        _ABOUT_LINTING,
        _SESSION,
        _STRICT,
    )
    for rule in rules
}
OF_SQUAWK = frozenset(rule.id for rule in RULES.values() if not rule.ours)
