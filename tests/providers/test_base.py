"""What every provider does the same way, without a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import psycopg
import pytest
from pulumi.output import Unknown

from keelson.errors import KeelsonError
from providers import values
from providers.base import Bag, Provider


@dataclass(frozen=True)
class Inner:
    name: str


@dataclass(frozen=True)
class ThingInputs:
    name: str
    inner: Inner
    port: int = 0
    limits: dict[str, int] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    open: bool | None = None


class ThingProvider(Provider[ThingInputs]):
    inputs = ThingInputs
    compared = ("port", "words")
    fixed: ClassVar = {"inner.name": "rename it by hand"}

    def identify(self, inputs: ThingInputs) -> str:
        return inputs.name

    def make(self, inputs: ThingInputs) -> Bag:
        if inputs.port == 13:
            raise psycopg.errors.DiskFull
        if inputs.port == 14:
            raise PermissionError(13, "Permission denied", "/x")
        return {"kind": type(inputs.port).__name__, "made": inputs.name}


GIVEN: dict[str, Any] = {"name": "a", "inner": {"name": "x"}, "port": 5432.0, "limits": {"b": 2.0}, "words": ["c"]}


def test_numbers_arrive_as_floats_and_become_what_the_fields_say() -> None:
    decoded = values.decode(ThingInputs, GIVEN | {"__provider": "…", "later": 1.0})
    assert decoded == ThingInputs("a", Inner("x"), 5432, {"b": 2}, ("c",))
    assert isinstance(decoded.port, int)


def test_create_echoes_the_inputs_beside_what_it_computed() -> None:
    created = ThingProvider().create(GIVEN | {"__provider": "…"})
    assert created.id == "a"
    assert created.outs == GIVEN | {"kind": "int", "made": "a"}


def test_diff_compares_the_named_inputs_alone_and_never_replaces() -> None:
    provider = ThingProvider()
    assert not provider.diff("a", GIVEN | {"made": "a"}, GIVEN | {"limits": {}, "port": 5432}).changes
    changed = provider.diff("a", GIVEN, GIVEN | {"port": 5433.0})
    assert changed.changes
    assert not changed.replaces


def test_an_unknown_input_is_a_change_and_no_fault() -> None:
    provider = ThingProvider()
    assert provider.diff("a", GIVEN, GIVEN | {"port": Unknown()}).changes
    assert not provider.check(GIVEN, GIVEN | {"inner": {"name": Unknown()}}).failures


def test_a_fixed_input_is_refused_by_check_with_the_next_step() -> None:
    failures = ThingProvider().check(GIVEN, GIVEN | {"inner": {"name": "y"}}).failures
    assert [failure.reason for failure in failures] == ["name cannot change from 'x' to 'y'; rename it by hand"]


def test_what_the_server_says_becomes_one_sentence_with_its_sqlstate() -> None:
    with pytest.raises(KeelsonError, match=r"^the database server refused: .*SQLSTATE 53100"):
        ThingProvider().create(GIVEN | {"port": 13.0})


def test_what_the_machine_says_becomes_one_sentence_with_the_path() -> None:
    with pytest.raises(
        KeelsonError, match=r"^this machine refused: .*Permission denied: '/x'; make room or give access"
    ):
        ThingProvider().create(GIVEN | {"port": 14.0})


def test_a_thing_that_is_gone_reads_as_gone() -> None:
    class GoneProvider(ThingProvider):
        def look(self, _state: Bag) -> Bag | None:
            return None

    assert GoneProvider().read("a", GIVEN).id == ""
