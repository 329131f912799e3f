"""How old logins are, by what the engine's state says of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keelson.rotation import FIRST, ROLES, ages
from providers.roles import Roles

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def resource(**outputs: Any) -> dict[str, Any]:
    return {"type": ROLES, "outputs": {"service": "auth", **outputs}}


def test_the_type_is_the_one_that_the_engine_knows() -> None:
    assert f"pulumi-python:{Roles._resource_type_name}" == ROLES


def test_other_resources_and_those_that_are_half_made_have_no_age() -> None:
    assert ages([{"type": "pulumi:pulumi:Stack"}, {"type": ROLES}, {"type": ROLES, "outputs": {}}]) == {}


@pytest.mark.parametrize(("days", "over"), [(89, False), (90, True), (400, True)])
def test_logins_are_due_after_so_many_days(days: int, over: bool) -> None:  # noqa: FBT001
    age = ages([resource(since=(NOW - timedelta(days=days)).isoformat(), generation=2.0)])["auth"]
    assert (age.generation, age.is_over(90, NOW)) == (2, over)


def test_logins_of_an_older_release_are_due() -> None:
    age = ages([resource()])["auth"]
    assert (age.generation, age.is_over(3650, NOW), age.told()) == (FIRST, True, "longer than anybody knows")
