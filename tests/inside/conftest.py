from tests.backups.conftest import filled, place, subject  # noqa: F401 - a real server, and a service on it
