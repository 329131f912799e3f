from __future__ import annotations

from pathlib import Path

import pytest

from tests.migrations.project import Project
from tests.services import Service


@pytest.fixture
def project(database: Service, tmp_path: Path) -> Project:
    directory = tmp_path / "migrations"
    directory.mkdir()
    return Project(database, directory)
