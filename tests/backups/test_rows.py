"""Digests of tables' rows: what changes them, and what does not."""

from __future__ import annotations

import pytest

from keelson.backups.rows import BY_TEXT, BY_VALUE, digest_all
from tests.backups.conftest import Subject

TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN mail AS text CHECK (VALUE LIKE '%@%');
CREATE COLLATION lax (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE one (flag bool, small int2, number int4, large int8, short float4, long float8, money numeric(12, 2), exact numeric, day date, hour time,
    at timestamp, moment timestamptz, id uuid, blob bytea, body text, word varchar(9), code char(4), loose text COLLATE lax, plain json, doc jsonb, span interval,
    feeling mood, couple pair, address mail, several int[], within int4range, host inet, bits bit(3));
INSERT INTO one SELECT true, 1, 2, 3, 1.5, 2.5, 4.20, 1.0, '2026-01-01', '12:00', '2026-01-01', '2026-01-01Z', '11111111-1111-1111-1111-111111111111', '\\x01', 'a', 'b',
    'c', 'd', '{"a": 1}', '{"a": 1}', '1 day', 'sad', '(1,x)', 'a@b', '{1,2}', '[1,2)', '::1', '101' FROM generate_series(1, 3);
INSERT INTO one (flag) VALUES (NULL);
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES;
"""
CHANGES = (
    "flag = false",
    "small = 2",
    "number = 3",
    "large = -3",
    "short = 1.25",
    "long = 2.5000000000000004",
    "money = 4.21",
    "exact = 1.00",
    "day = day + 1",
    "hour = '12:00:00.000001'",
    "at = at + interval '1 us'",
    "moment = moment + interval '1 us'",
    "id = '11111111-1111-1111-1111-111111111112'",
    "blob = '\\x0100'",
    "body = 'A'",
    "body = NULL",
    "word = 'b '",
    "code = 'd'",
    "loose = 'D'",
    """plain = '{"a":1}'""",
    """doc = '{"a": 1.0}'""",
    "span = '24 hours'",
    "feeling = 'glad'",
    "couple.b = NULL",
    "address = 'A@b'",
    "several = '{2,1}'",
    "within = '[1,3)'",
    "host = '::2'",
    "bits = '100'",
)


def digest(subject: Subject, how: str = BY_VALUE, table: str = "public.one") -> str:
    with subject.connect() as connection:
        return digest_all(connection, how).hashes[table]


def test_every_change_of_every_type_changes_the_digest(subject: Subject) -> None:
    with subject.connect() as admin:
        admin.execute(TYPES)
        seen = {digest(subject): "nothing"}
        for change in CHANGES:
            with admin.transaction(force_rollback=True):
                admin.execute(f"UPDATE one SET {change} WHERE ctid = '(0,2)'")  # type: ignore[arg-type]
                found = digest_all(admin).hashes["public.one"]
            assert seen.setdefault(found, change) == change
    assert digest(subject) in seen


@pytest.mark.parametrize("how", [BY_VALUE, BY_TEXT])
def test_the_digest_is_of_the_rows_and_not_of_where_they_lie(subject: Subject, how: str) -> None:
    with subject.connect() as admin:
        admin.execute(TYPES)
        admin.execute("UPDATE one SET number = 7 WHERE ctid = '(0,1)'")
        before = digest(subject, how)
        admin.execute("CREATE TABLE again AS SELECT * FROM one ORDER BY number DESC NULLS FIRST")
        admin.execute("ALTER TABLE again ADD COLUMN aside int")
        admin.execute("ALTER TABLE again DROP COLUMN aside")
    assert digest(subject, how, "public.again") == before


@pytest.mark.parametrize("how", [BY_VALUE, BY_TEXT])
def test_values_that_change_their_rows_or_their_columns_change_the_digest(subject: Subject, how: str) -> None:
    with subject.connect() as admin:
        admin.execute("CREATE TABLE one AS SELECT g AS a, 100 - g AS b FROM generate_series(1, 40) g")
        admin.execute("CREATE TABLE rows AS SELECT g AS a, 60 + g - 1 AS b FROM generate_series(1, 40) g")
        admin.execute("CREATE TABLE columns AS SELECT b AS a, a AS b FROM one")
        admin.execute("CREATE TABLE twice AS SELECT a, b FROM one UNION ALL SELECT a, b FROM one WHERE a = 1")
    digests = {digest(subject, how, f"public.{name}") for name in ("one", "rows", "columns", "twice")}
    assert len(digests) == 4


@pytest.mark.parametrize("how", [BY_VALUE, BY_TEXT])
def test_a_restored_database_has_the_same_digests(subject: Subject, how: str) -> None:
    with subject.connect() as admin:
        admin.execute(TYPES)
    made = subject.back_up()
    with subject.connect(subject.restore(made).reference.database) as copy, subject.connect() as live:
        here, there = digest_all(live, how), digest_all(copy, how)
        assert here == there
    assert here.hashes.keys() == {"public.one", "public.nothing"}
    if how == BY_VALUE:
        assert made.manifest.facts[BY_VALUE] == here.hashes
