from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keelson.privacy.receipts import Receipts
from keelson.privacy.subject import Subject
from keelson.settings.privacy import read_privacy
from tests.product import ROOT, database
from tests.servers import Server
from tests.services import Service

NAMES = ("auth", "notifications", "portfolio")


def subject(service: Service) -> Subject:
    definition = read_privacy(ROOT / "sql" / service.name, ROOT)
    assert definition
    source = f"sql/{service.name}/privacy.yaml"
    return Subject(service.name, definition, service.as_migrator, service.roles.owner, source)


@pytest.fixture
def services(server: Server) -> Iterator[dict[str, Service]]:
    """The product's databases that hold persons, with the rows of dev."""
    with (
        database(server, "auth") as auth,
        database(server, "notifications") as notifications,
        database(server, "portfolio") as portfolio,
    ):
        yield {"auth": auth, "notifications": notifications, "portfolio": portfolio}


@pytest.fixture
def subjects(services: dict[str, Service]) -> list[Subject]:
    return [subject(service) for service in services.values()]


@pytest.fixture
def receipts(tmp_path: Path) -> Receipts:
    return Receipts(tmp_path / "receipts", "keelson-dev")
