"""Login and list from a container's variables and files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from keelson.errors import KeelsonError
from keelson.pgadmin.mounted import MountedSource

MAIN = {"Name": "main", "Group": "main", "Host": "main", "Port": 5432, "Username": "postgres", "SSLMode": "verify-full"}
NOTES = MAIN | {"Name": "notes", "Username": "notes_reader", "DBRestriction": "notes"}
LOGIN = {"PGADMIN_DEFAULT_EMAIL": "a@example.com", "PGADMIN_DEFAULT_PASSWORD": "x"}


@pytest.fixture
def mounted(tmp_path: Path) -> MountedSource:
    """A list of two, with passwords and a certificate."""
    (tmp_path / "servers.json").write_text(json.dumps({"Servers": {"1": MAIN, "2": NOTES}}))
    (tmp_path / "pgpass").write_text("# ours\nmain:5432:*:postgres:p\\:1\nmain:*:notes:notes_reader:back\\\\slash\n")
    (tmp_path / "ca.crt").write_text("certificate")
    (tmp_path / "login").write_text("from a file\n")
    places = {
        "PGADMIN_SERVER_JSON_FILE": "servers.json",
        "PGPASS_FILE": "pgpass",
        "PGSSLROOTCERT": "ca.crt",
        "PGADMIN_DEFAULT_PASSWORD_FILE": "login",
    }
    files = {name: str(tmp_path / place) for name, place in places.items()}
    return MountedSource({"PGADMIN_DEFAULT_EMAIL": "a@example.com"} | files)


def test_the_list_has_the_passwords_of_its_roles(mounted: MountedSource) -> None:
    wanted = mounted.read()
    assert (wanted.email, wanted.password, wanted.root_certificate) == ("a@example.com", "from a file", "certificate")
    assert [(each.name, each.host, each.database, each.role, each.password) for each in wanted.entries] == [
        ("main", "main", "", "postgres", "p:1"),
        ("notes", "main", "notes", "notes_reader", "back\\slash"),
    ]
    assert {each.encryption for each in wanted.entries} == {"verify-full"}
    assert len({each.mark for each in wanted.entries}) == 2


def test_a_replaced_file_is_noticed_whatever_its_time_says(mounted: MountedSource, tmp_path: Path) -> None:
    before = mounted.fingerprint()
    assert before == mounted.fingerprint()
    (tmp_path / "pgpass").write_text("")
    assert mounted.fingerprint() != before


def test_without_files_there_is_a_login_and_no_list() -> None:
    source = MountedSource(LOGIN | {"PGADMIN_SERVER_JSON_FILE": "/nowhere"})
    assert source.read().entries == ()
    assert source.address() == ("0.0.0.0", 80)  # noqa: S104  # inside a container


def test_variables_change_the_configuration() -> None:
    source = MountedSource(LOGIN | {"PGADMIN_CONFIG_MFA_ENABLED": "False", "PGADMIN_CONFIG_X": "'text'"})
    assert source.configuration() == {"MFA_ENABLED": False, "X": "text"}


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({}, "set PGADMIN_DEFAULT_EMAIL"),
        ({"PGADMIN_DEFAULT_EMAIL": "a@example.com"}, "PGADMIN_DEFAULT_PASSWORD_FILE or PGADMIN_DEFAULT_PASSWORD"),
        (LOGIN | {"PGADMIN_DEFAULT_PASSWORD_FILE": "/nowhere"}, "cannot read /nowhere"),
        (LOGIN | {"PGADMIN_DEFAULT_PASSWORD_FILE": "/dev/null"}, "/dev/null.* is empty"),
        (LOGIN | {"PGADMIN_SERVER_JSON_FILE": "/etc/passwd"}, "/etc/passwd is no list of servers"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(variables: dict[str, str], sentence: str) -> None:
    with pytest.raises(KeelsonError, match=sentence):
        MountedSource(variables).read()


@pytest.mark.parametrize("name", ["PGADMIN_LISTEN_PORT", "PGADMIN_CONFIG_X"])
def test_a_wrong_value_is_named(name: str) -> None:
    source = MountedSource({name: "no value"})
    with pytest.raises(KeelsonError, match=name):
        source.address(), source.configuration()


def test_login_by_an_issuer_is_read_and_followed(mounted: MountedSource, tmp_path: Path) -> None:
    file = tmp_path / "oidc.json"
    source = MountedSource({**mounted.variables, "KEELSON_OIDC_FILE": str(file)})
    assert mounted.sign_on() is None
    file.write_text('{"issuer": "https://id.example.com"}')
    before = source.fingerprint()
    assert source.sign_on() == {"issuer": "https://id.example.com"}
    file.write_text('{"client_secret": "half')
    assert source.fingerprint() != before
    with pytest.raises(KeelsonError, match=r"cannot be read; run `keelson up -- --refresh`") as refused:
        source.sign_on()
    assert "half" not in str(refused.value)
