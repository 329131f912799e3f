from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keelson.privacy.receipts import Receipts
from tests.product import database
from tests.servers import Server
from tests.services import Service


@pytest.fixture
def portfolio(server: Server) -> Iterator[Service]:
    with database(server, "portfolio") as made:
        yield made


@pytest.fixture
def auth(server: Server) -> Iterator[Service]:
    with database(server, "auth") as made:
        yield made


@pytest.fixture
def receipts(tmp_path: Path) -> Receipts:
    return Receipts(tmp_path / "receipts", "keelson-dev")
