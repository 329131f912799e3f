"""Encrypted and signed backups of a real database: who can read them, and what somebody else can do to them unnoticed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from pyrage import x25519

from keelson.backups import keys, terms
from keelson.backups.drills.drilling import Plan, drill
from keelson.backups.exporting import export
from keelson.backups.keys import Keys
from keelson.backups.making import MANUAL, back_up, verify
from keelson.backups.retention import Retention, prune
from keelson.backups.store import Backup, Store
from keelson.backups.terms import Terms
from keelson.errors import BackupError
from keelson.local import client, registry
from tests.backups.conftest import KEY, Subject
from tests.backups.test_making import left, refused

PERSON = x25519.Identity.generate()
TERMS = Terms(recipients=(str(PERSON.to_public()),))


@pytest.fixture
def sealed(filled: Subject) -> Subject:
    """A service whose backups are encrypted."""
    return replace(filled, store=Store(KEY, filled.store.directory.parent, TERMS))


def hand(backup: Backup, *identities: str) -> Backup:
    """The backup as somebody sees it who has these keys alone."""
    return Backup(backup.path, Keys(identities))


def rewrite(backup: Backup, **changes: object) -> None:
    """Write the manifest as somebody would who knows how, and has no key."""
    path = backup.path / "manifest.json"
    values = json.loads(path.read_text()) | changes
    values.pop("sha256")
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    path.write_text(json.dumps(values | {"sha256": hashlib.sha256(text.encode()).hexdigest()}))


def test_an_encrypted_backup_holds_nothing_in_clear_and_restores_without_a_person(
    sealed: Subject, streams: str
) -> None:
    with sealed.connect() as admin:
        admin.execute("INSERT INTO t VALUES (0, 'a secret of somebody'); CREATE TABLE u AS SELECT a FROM t")
    made = sealed.back_up()
    assert left(sealed) == [made.id]
    files = sorted(path.name for path in made.path.iterdir())
    dumps = ["data-2.dump.age"] if streams == "two streams" else []
    assert files == sorted(
        ["catalog.json.age", "data.dump.age", "digests.json.age", "manifest.json", "roles.sql.age", *dumps]
    )
    assert made.manifest.recipients == (*keys.read(KEY).recipients, *TERMS.recipients)
    assert "digests" not in made.manifest.facts
    text = b"".join(path.read_bytes() for path in made.path.iterdir())
    assert b"a secret" not in text
    assert sealed.roles.app.encode() + b"_a" not in text  # roles.sql names it
    verify(made, "local")
    sealed.restore(made)
    with sealed.connect(f"{sealed.name}_copy") as copy:
        assert copy.execute("SELECT b FROM t WHERE a = 0").fetchone() == ("a secret of somebody",)


def test_a_drill_of_an_encrypted_backup_compares_all_of_it(sealed: Subject) -> None:
    done = drill(sealed.back_up(), Plan(sealed.store, "local"))
    assert done.differences == ()
    assert done.notes == ()
    assert done.compared["tables_by_content"] == 1


def test_the_persons_key_alone_opens_it_and_without_one_a_sentence_says_so(sealed: Subject) -> None:
    made = sealed.back_up()
    verify(hand(made, str(PERSON)), "local")
    for call in (lambda: verify(hand(made), "local"), lambda: sealed.restore(hand(made), f"{sealed.name}_none")):
        told = refused(call)
        assert f"{made.path} is encrypted, and no key of this stack opens it" in told
        assert "--identity FILE" in told
    assert sealed.databases() == {sealed.name}
    assert not hand(made).fault  # it is not damaged


def test_backups_from_before_encryption_stay_what_they_were(filled: Subject, sealed: Subject) -> None:
    plain, closed = filled.back_up(), sealed.back_up()
    assert [each.id for each in sealed.store.all(sealed.name)] == [closed.id, plain.id]
    for each in sealed.store.all(sealed.name):
        verify(each, "local")
        assert drill(each, Plan(sealed.store, "local")).well
    sealed.restore(plain)
    assert [gone.id for gone in prune(sealed.store, sealed.name, Retention(1, 1))] == []


def test_a_stack_that_cannot_keep_a_key_of_its_own_makes_no_encrypted_backup(
    sealed: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "ensure", lambda _key: Keys())
    told = refused(sealed.back_up)
    assert "has no key of its own yet to read them back with; run `keelson up`" in told
    assert not sealed.folder.exists() or left(sealed) == []


def test_the_keys_are_private_and_made_once(filled: Subject) -> None:
    filled.back_up()
    path = registry.directory(KEY) / keys.FILE
    first = keys.read(KEY)
    filled.back_up()
    assert (path.stat().st_mode & 0o777, keys.read(KEY).signing, keys.read(KEY).identities) == (
        0o600,
        first.signing,
        first.identities,
    )
    assert first.signing not in repr(first)
    assert first.identities[0] not in repr(first)


def test_a_backup_is_signed_by_the_stack(filled: Subject) -> None:
    made = filled.store.find(filled.name, filled.back_up().id)
    assert (made.fault, made.remark) == ("", "")
    assert keys.read(KEY).since[filled.name] == made.id


def test_a_file_that_was_replaced_together_with_its_hash_is_told_apart(filled: Subject) -> None:
    made = filled.back_up()
    data = b"-- roles of somebody else\n"
    (made.path / "roles.sql").write_bytes(data)
    files = json.loads((made.path / "manifest.json").read_text())["files"]
    rewrite(made, files=files | {"roles.sql": {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}})
    found = filled.store.find(filled.name, made.id)
    assert "was changed after the backup was made: its signature (HMAC) is another" in found.fault
    assert filled.store.last(filled.name) is None
    assert "signature" in refused(lambda: verify(found, "local"))
    assert "signature" in refused(lambda: filled.restore(found))
    assert filled.databases() == {filled.name}


def test_a_signature_that_was_taken_off_or_made_with_another_key_is_told_apart(filled: Subject) -> None:
    first, second = filled.back_up(), filled.back_up()
    facts = json.loads((first.path / "manifest.json").read_text())["facts"]
    rewrite(first, facts={name: fact for name, fact in facts.items() if name != "signature"})
    rewrite(second, facts=facts | {"signature": {"key": "0" * 8, "hmac": "0" * 64}})
    faults = [each.fault for each in filled.store.all(filled.name)]
    assert "is signed by the key 00000000, and this stack signs all its backups since" in faults[0]
    assert "is not signed, and this stack signs all its backups since" in faults[1]


def test_an_older_backup_in_place_of_a_newer_one_is_told_apart(filled: Subject) -> None:
    first, second = filled.back_up(), filled.back_up()
    for file in second.path.iterdir():
        file.write_bytes((first.path / file.name).read_bytes())
    found = filled.store.find(filled.name, second.id)
    assert f"holds the backup {first.id} of {filled.name}, so somebody moved it" in found.fault


def test_what_was_made_before_the_stack_had_a_key_or_elsewhere_counts_with_a_remark(filled: Subject) -> None:
    made = filled.back_up()
    path = registry.directory(KEY) / keys.FILE
    text = path.read_text()
    try:
        path.unlink()
        newer = filled.back_up()  # another key: the stack was destroyed in between, say
        older = filled.store.__class__(KEY, filled.store.directory.parent).find(filled.name, made.id)
        assert older.fault == ""
        assert "signed by another stack's key" in older.remark
        brought = Backup(newer.path, Keys())
        assert "signed by another stack's key" in brought.remark
        verify(older, "local")
    finally:
        path.write_text(text)


def test_a_manifest_without_signature_from_before_counts_with_a_remark(filled: Subject) -> None:
    made = filled.back_up()
    facts = json.loads((made.path / "manifest.json").read_text())["facts"]
    rewrite(made, facts={name: fact for name, fact in facts.items() if name != "signature"})
    brought = Backup(made.path, keys.read(KEY).foreign())
    assert (brought.fault, brought.remark) == (
        "",
        "not signed: made before the stack had a key, so only hashes were checked",
    )


def test_terms_are_kept_with_the_job_and_found_by_all_who_have_no_settings(filled: Subject) -> None:
    terms.keep(KEY, TERMS)
    try:
        assert (
            back_up(filled.source, Store(KEY, filled.store.directory.parent), MANUAL).manifest.recipients[1:]
            == TERMS.recipients
        )
    finally:
        terms.keep(KEY, Terms())
    assert terms.read(KEY) == Terms()


def test_a_file_of_keys_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    for text in ("", "AGE-SECRET-KEY-1NONSENSE\n", "age1xyz\n"):
        (tmp_path / "key").write_text(text)
        with pytest.raises(BackupError, match="holds no identity of age"):
            keys.read_identities(tmp_path / "key")
    with pytest.raises(BackupError, match="cannot be read: No such file"):
        keys.read_identities(tmp_path / "none")
    (tmp_path / "key").write_text(f"# created: today\n# public key: {PERSON.to_public()}\n{PERSON}\n")
    assert keys.read_identities(tmp_path / "key") == (str(PERSON),)


def test_a_disk_that_fills_up_leaves_nothing_that_is_listed(sealed: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("keelson.backups.folder.Stream._count", fail)
    assert "No space left on device; make room" in refused(sealed.back_up)
    assert left(sealed) == []


def test_an_export_is_a_plain_dump_that_postgresql_reads(sealed: Subject, tmp_path: Path) -> None:
    made, file = sealed.back_up(), tmp_path / "out.dump"
    export(made, file)
    assert file.stat().st_mode & 0o777 == 0o600
    command = [*client.command("pg_restore"), "--list"]
    listed = subprocess.run(command, input=file.read_bytes(), capture_output=True, check=True).stdout
    assert b"TABLE DATA public t" in listed
    assert "is there already, and an export overwrites nothing" in refused(lambda: export(made, file))


def test_an_export_that_fails_leaves_no_file(sealed: Subject, tmp_path: Path) -> None:
    made, file = sealed.back_up(), tmp_path / "out.dump"
    assert "no key of this stack opens it" in refused(lambda: export(hand(made), file))
    dump = made.path / "data.dump.age"
    data = bytearray(dump.read_bytes())
    data[len(data) // 2] ^= 1
    dump.write_bytes(data)
    assert "its SHA-256 is not the manifest's" in refused(lambda: export(made, file))
    assert "cannot write" in refused(lambda: export(made, tmp_path / "none" / "out.dump"))
    assert [path.name for path in tmp_path.iterdir() if path.name != "backups"] == []
