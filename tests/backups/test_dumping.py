"""Large databases are dumped in two files of one moment: each row is in one of them, and all of it comes back."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePath

import pytest

from keelson.backups import dumping
from keelson.backups.contents import entries, of_tables
from keelson.backups.dumping import DUMP, FURTHER, WORTH
from keelson.backups.exporting import export
from keelson.backups.folder import Stream
from keelson.backups.making import verify
from keelson.backups.rows import count_all
from keelson.backups.store import Backup
from keelson.endpoint import resolve
from keelson.local import client
from tests.backups.conftest import Subject
from tests.backups.test_making import left, refused, shell, use

ODD = ["a.b", "a*b", "axb", 'a"b', '"', "a$b", "Upper", "upper", "with space", "(a|b)?", "\\d", "naïve", "line\nend"]


def listed(path: Path | PurePath) -> list[str]:
    """The tables whose rows are in one file of a dump, as pg_restore names them."""
    command = [*client.command("pg_restore"), "--list", str(path)]
    text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return [
        line.partition(" TABLE DATA ")[2].rpartition(" ")[0] for line in text.splitlines() if " TABLE DATA " in line
    ]


@pytest.fixture
def odd(filled: Subject) -> Subject:
    """A database of tables with names that are patterns, or would be matched by another's."""
    with filled.connect() as admin:
        for number, name in enumerate(ODD, 1):
            quoted = '"' + name.replace('"', '""') + '"'
            admin.execute(f"CREATE TABLE {quoted} AS SELECT g AS a FROM generate_series(1, {number}) g")
        admin.execute('CREATE SCHEMA "a.b"; CREATE TABLE "a.b"."c.d" (id serial PRIMARY KEY)')
        admin.execute('INSERT INTO "a.b"."c.d" SELECT FROM generate_series(1, 7)')
        admin.execute('CREATE TABLE refers (id int REFERENCES "a.b"."c.d"); INSERT INTO refers VALUES (7)')
        admin.execute("DROP TABLE t")
    return filled


@pytest.mark.usefixtures("split")
def test_each_tables_rows_are_in_one_of_two_files_whatever_its_name_is(odd: Subject) -> None:
    made = odd.back_up()
    first, second = listed(made.path / DUMP), listed(made.path / FURTHER)
    assert min(len(first), len(second)) > 3
    assert sorted([*first, *second]) == sorted({*first, *second})
    assert len(first) + len(second) == len(made.manifest.counts) == len(ODD) + 2
    assert len(made.manifest.facts["tables_apart"]) == len(second)
    assert made.manifest.format == 3  # which versions that know of one file alone refuse
    verify(made, "local")
    copy = odd.restore(made).reference.database
    with odd.connect(copy) as after:
        assert after.execute('SELECT count(*) FROM "a*b"').fetchone() == (2,)
        assert after.execute("""SELECT nextval('"a.b"."c.d_id_seq"')""").fetchone() == (8,)


def test_a_database_without_large_tables_is_dumped_in_one_file(filled: Subject) -> None:
    made = filled.back_up()
    assert FURTHER not in made.manifest.files
    assert made.manifest.facts["tables_apart"] == []
    assert made.manifest.format == 1


def test_tables_are_shared_out_by_their_size() -> None:
    sizes = {f"public.{name}": size * WORTH for name, size in {"a": 1, "b": 9, "c": 5, "d": 3}.items()}
    assert dumping.apart(sizes) == ["public.a", "public.c", "public.d"]
    assert dumping.apart({"public.a": 9 * WORTH, "public.b": WORTH - 1}) == []
    assert dumping.apart({"public.a": 9 * WORTH}) == []
    assert dumping.apart({}) == []
    assert len(dumping.apart({f"public.t{number}": WORTH for number in range(3000)})) == dumping.MOST


LISTING = """
;
6; 2615 2200 SCHEMA - public owner
220; 1259 16451 TABLE public accounts owner
;	depends on: 6
221; 1259 16451 TABLE public readings owner
223; 1259 16481 TABLE public pp1 owner
;	depends on: 220 6
3305; 2606 16457 CONSTRAINT public accounts accounts_pkey owner
;	depends on: 220
3312; 2606 16489 CONSTRAINT public pp1 pp1_pkey owner
;	depends on: 223 3305 223
3306; 1259 16461 INDEX public readings_at_idx owner
;	depends on: 221 221
3307; 1259 16461 INDEX public accounts_idx owner
;	depends on: 220
3315; 0 0 INDEX ATTACH public pp1_b_idx owner
;	depends on: 220
3318; 2606 16495 FK CONSTRAINT public accounts fk_fkey owner
;	depends on: 220
"""


def test_an_index_is_made_early_where_it_needs_one_table_alone() -> None:
    found = of_tables(entries(LISTING), ["public.accounts", "public.pp1"])
    assert [entry.number for entry in found] == ["3305", "3307"]
    twice = LISTING.replace("TABLE public readings", "TABLE public accounts")
    assert of_tables(entries(twice), ["public.accounts"]) == []


@pytest.mark.usefixtures("split")
@pytest.mark.parametrize("which", ["--table=", "--exclude-table-data="])
def test_a_stream_that_fails_leaves_nothing_and_ends_the_other(
    odd: Subject, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = f'case "$*" in *{which}*) exec /bin/false;; *--snapshot*) exec sleep 100;; *) exec "$@";; esac'
    use(monkeypatch, lambda program: shell(program, fails if program == "pg_dump" else 'exec "$@"'))
    assert f"the dump of {odd.name} failed: exit status 1" in refused(odd.back_up)
    assert left(odd) == []


@pytest.mark.usefixtures("split")
@pytest.mark.parametrize("name", [DUMP, FURTHER])
def test_rows_that_a_stream_left_out_are_noticed(odd: Subject, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = odd.back_up().manifest
    apart = facts.facts["tables_apart"]
    [table, *_] = apart if name == FURTHER else sorted(set(facts.counts) - set(apart))
    fits = "*--exclude-table-data=*" if name == DUMP else "*--table=*"
    less = f'case "$*" in {fits}) exec "$@" --exclude-table-data={shlex.quote(table)};; *) exec "$@";; esac'
    use(monkeypatch, lambda program: shell(program, less if program == "pg_dump" else 'exec "$@"'))
    told = refused(odd.back_up)
    assert "does not read back and was not kept" in told
    assert f"{table} has none in place of {facts.counts[table]}" in told
    assert left(odd) == [facts.id]


def test_what_is_read_back_is_what_lies_on_the_disk(filled: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that keeps another byte than it was given, while all that passes through memory is right."""
    write = Stream.write

    def lie(stream: Stream, block: bytes) -> None:
        write(stream, block)
        if len(block) > 10_000:
            stream._file.seek(-5000, os.SEEK_CUR)  # type: ignore[union-attr]
            stream._file.write(bytes([block[-5000] ^ 1]))
            stream._file.seek(4999, os.SEEK_CUR)  # type: ignore[union-attr]

    monkeypatch.setattr(Stream, "write", lie)
    told = refused(filled.back_up)
    assert "does not read back and was not kept" in told
    assert "its SHA-256 is not the manifest's" in told
    assert left(filled) == []


@pytest.fixture
def hand(odd: Subject) -> Iterator[str]:
    """An empty database for what somebody does by hand."""
    name = f"{odd.name}_hand"
    with resolve(odd.administrator).connect() as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    yield name
    with resolve(odd.administrator).connect() as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def by_hand(subject: Subject, database: str, *words: str) -> None:
    """Run pg_restore as somebody does who has none of Keelson."""
    variables = os.environ | resolve(subject.administrator.to(database=database)).libpq_variables()
    command = [*client.command("pg_restore"), "--dbname", database, "--exit-on-error", *words]
    subprocess.run(command, env=variables, check=True)


def is_whole(subject: Subject, made: Backup, database: str) -> bool:
    """Whether a database has the rows of the backup, and what was made after them."""
    with subject.connect(database) as found:
        assert count_all(found)[0] == made.manifest.counts
        foreign = found.execute("SELECT count(*) FROM pg_constraint WHERE contype = 'f'").fetchone()
        return foreign == (1,) and found.execute("""SELECT nextval('"a.b"."c.d_id_seq"')""").fetchone() == (8,)


@pytest.mark.usefixtures("split")
def test_the_files_are_restored_by_hand_as_the_documentation_says(odd: Subject, hand: str) -> None:
    made = odd.back_up()
    for section, name in (("pre-data", DUMP), ("data", DUMP), ("data", FURTHER), ("post-data", DUMP)):
        by_hand(odd, hand, f"--section={section}", str(made.path / name))
    assert is_whole(odd, made, hand)


@pytest.mark.usefixtures("split")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_export_is_one_dump_of_both_files(odd: Subject, hand: str, tmp_path: Path, jobs: str) -> None:
    with odd.connect() as admin:
        admin.execute("SELECT lo_from_bytea(0, 'large'), lo_from_bytea(0, 'larger')")
        admin.execute(
            "CREATE INDEX ON upper (a); CREATE TABLE wide AS SELECT repeat(md5(g::text), 900) FROM generate_series(1, 900) g"
        )
    made = odd.back_up()
    export(made, tmp_path / "out.dump")
    by_hand(odd, hand, "--jobs", jobs, str(tmp_path / "out.dump"))
    assert is_whole(odd, made, hand)
    assert sorted(listed(tmp_path / "out.dump")) == sorted([*listed(made.path / DUMP), *listed(made.path / FURTHER)])
