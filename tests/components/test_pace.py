"""A program of many resources is spared calls to the engine that nobody reads."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pulumi
import pytest
from pulumi.runtime import mocks, settings
from pulumi.runtime.proto import engine_pb2

from components import pace


class Engine(mocks.MockEngine):
    """Counts what it is told."""

    def __init__(self) -> None:
        super().__init__(None)
        self.said: list[str] = []

    def Log(self, request: engine_pb2.LogRequest) -> None:  # noqa: N802 - the SDK's name
        self.said.append(request.message)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    found, threshold = Engine(), gc.get_threshold()
    monkeypatch.setattr(settings.SETTINGS, "engine", found)
    monkeypatch.setattr(pulumi.log, "debug", pulumi.log.debug)
    yield found
    gc.set_threshold(*threshold)
    gc.unfreeze()


def test_debug_messages_of_the_sdk_are_not_sent_and_others_are(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(pace.DEBUG, raising=False)
    pulumi.log.debug("sent before")
    pace.hasten()
    pulumi.log.debug("not sent")
    pulumi.log.info("sent")
    assert engine.said == ["sent before", "sent"]


def test_they_are_sent_where_somebody_asks_for_them(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(pace.DEBUG, "1")
    pace.hasten()
    pulumi.log.debug("sent")
    assert engine.said == ["sent"]
