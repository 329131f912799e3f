"""`keelson harden --url`: a table for people, JSON for programs, an exit status for CI."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from keelson.postgres.hardening import CHECKS
from tests.postgres.hardening import page
from tests.postgres.hardening.conftest import Hard

OF_A_STACK = ("--skip", "extensions", "--skip", "backups", "--skip", "private-files")


def keelson(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.prefix) / "bin" / "keelson"), "harden", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def url(hard: Hard) -> str:
    return "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**hard.server.parameters())


def test_a_server_given_by_its_url_is_well_when_all_that_counts_is(hard: Hard) -> None:
    done = keelson("--url", url(hard), *OF_A_STACK)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all 35 checks are well" not in done.stdout
    assert "32 checks are well, 3 are left out" in done.stdout


def test_what_cannot_be_judged_is_no_success(hard: Hard) -> None:
    done = keelson("--url", url(hard))
    assert done.returncode == 1
    assert "UNJUDGED  27  extensions" in done.stdout
    assert done.stdout.endswith("3 of 35 checks are not as they should be, or could not be judged\n")


def test_a_fault_is_named_with_how_to_mend_it(hard: Hard) -> None:
    with hard.altered("keelson.conf", "log_statement = none"):
        done = keelson("--url", url(hard), *OF_A_STACK)
        found = json.loads(keelson("--url", url(hard), *OF_A_STACK, "--json").stdout)
    assert done.returncode == 1
    assert "FAILED   12  log-statement" in done.stdout
    assert "log-statement: log_statement = ddl or mod: set it under `keelson:postgres`" in done.stdout
    assert not found["well"]
    (wrong,) = [each for each in found["servers"][0]["checks"] if each["state"] == "failed"]
    assert (wrong["number"], wrong["id"], wrong["faults"]) == (12, "log-statement", ["log_statement is none"])
    assert set(wrong) == {"number", "id", "title", "sources", "state", "found", "faults", "fix"}


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("main", "--url", "postgresql://x"), 2, "--url in place of both"),
        (
            ("--url", "postgresql://postgres@127.0.0.1:1/postgres", "--skip", "nothing"),
            1,
            "there is no check 'nothing'",
        ),
    ],
)
def test_wrong_use_is_one_sentence(arguments: tuple[str, ...], status: int, said: str) -> None:
    done = keelson(*arguments)
    assert done.returncode == status
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_the_page_has_every_check_as_it_is() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.table() in text, "run `python -m tests.postgres.hardening.page`"
    assert all(f"`{check.id}`" in text for check in CHECKS)
