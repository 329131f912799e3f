"""What looks personal and is not named is found, and so is what would go along although it is to stay."""

from __future__ import annotations

import pytest

from keelson.errors import PrivacyError, SettingsError
from keelson.privacy.catalog import read_catalog
from keelson.privacy.check import faults
from keelson.privacy.erasing import opened
from keelson.privacy.subject import Subject
from keelson.settings.privacy import PrivacyDefinition
from tests.services import Service

TABLES = """
CREATE TABLE people (id int PRIMARY KEY, email text NOT NULL);
CREATE TABLE bills (id int PRIMARY KEY, person_id int NOT NULL REFERENCES people ON DELETE CASCADE, note text);
CREATE TABLE places (id int PRIMARY KEY, name text);
"""
PEOPLE = {"of": "id", "erase": "delete"}
BILLS = {"of": "person_id", "erase": "delete"}


def _found(database: Service, tables: dict[str, object], more: str = "", **others: object) -> list[str]:
    definition = PrivacyDefinition.read({"tables": tables, **others}, "privacy.yaml")
    with database.as_admin() as admin:
        admin.execute(TABLES + more)
        return list(faults(read_catalog(admin), Subject("svc", definition, database.as_admin)))


def test_what_is_said_of_all_is_right(database: Service) -> None:
    assert _found(database, {"people": PEOPLE, "bills": BILLS}) == []


@pytest.mark.parametrize(
    ("tables", "more", "told"),
    [
        ({"people": PEOPLE}, "", "does not name public.bills, which holds person_id"),
        (
            {"people": PEOPLE, "bills": BILLS},
            "CREATE TABLE visits (ip_address inet);",
            "does not name public.visits, which holds ip_address",
        ),
        (
            {"people": PEOPLE, "bills": BILLS},
            "CREATE TABLE lines (bill int REFERENCES bills);",
            "does not name public.lines, whose rows refer to public.bills",
        ),
        ({"people": PEOPLE, "bills": BILLS, "gone": PEOPLE}, "", "names public.gone, which does not exist"),
        ({"people": {**PEOPLE, "hide": ["secret"]}, "bills": BILLS}, "", "names the column public.people.secret"),
        ({"people": PEOPLE, "bills": {"of": "who_id", "erase": "delete"}}, "", "names the column public.bills.who_id"),
        (
            {"people": PEOPLE, "bills": {**BILLS, "of": "person_id -> people.nr"}},
            "",
            "names the column public.people.nr",
        ),
        (
            {"people": PEOPLE, "bills": {**BILLS, "erase": "keep", "because": "law"}},
            "",
            "are deleted with those of public.people",
        ),
        (
            {"people": PEOPLE, "bills": {**BILLS, "erase": {"note": None}, "because": "law"}},
            "ALTER TABLE bills DROP CONSTRAINT bills_person_id_fkey, ADD FOREIGN KEY (person_id) REFERENCES people;",
            "refer to public.people, so those cannot be deleted",
        ),
        (
            {"people": {"of": "id", "erase": {"email": None}, "because": "law"}, "bills": BILLS},
            "",
            "empties public.people.email",
        ),
    ],
)
def test_what_is_wrong_or_missing_is_told(database: Service, tables: dict[str, object], more: str, told: str) -> None:
    found = _found(database, tables, more)
    assert len(found) == 1
    assert told in found[0]


def test_what_is_not_personal_is_excused_by_table_or_column(database: Service) -> None:
    more = "CREATE TABLE visits (ip_address inet); CREATE TABLE marks (id int, owner_id int);"
    excused = {"visits": "of our own machines", "marks.owner_id": "a company's"}
    assert _found(database, {"people": PEOPLE, "bills": BILLS}, more, not_personal=excused) == []


def test_nothing_is_begun_where_it_does_not_fit(database: Service) -> None:
    with database.as_admin() as admin:
        admin.execute(TABLES)
    definition = PrivacyDefinition.read({"tables": {"people": PEOPLE}}, "privacy.yaml")
    with (
        pytest.raises(PrivacyError, match="does not name public"),
        opened([Subject("svc", definition, database.as_admin)]),
    ):
        pass


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({}, "'tables' is missing"),
        ({"tables": {"people": {"of": "id", "erase": "keep"}}}, "rows that stay need the reason"),
        ({"tables": {"people": {"of": "id", "erase": "burn"}}}, "'tables.people.erase"),
        ({"tables": {"people": {"of": "id ->", "erase": "delete"}}}, "leads nowhere"),
        ({"tables": {"people": {"erase": "delete"}}}, "'tables.people.of' is missing"),
    ],
)
def test_a_file_that_is_wrong_is_told_by_key(said: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        PrivacyDefinition.read(said, "privacy.yaml")
