"""Migrations of whole stacks: what is taken back and accepted by hand shows in the next preview."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from tests.stack.harness import StackUnderTest


@pytest.mark.thorough
@pytest.mark.timeout(300)
def test_a_protected_database_is_backed_up_before_it_changes_and_taken_back_only_by_the_stack_s_name(
    make_stack: Callable[..., StackUnderTest],
) -> None:
    stack = make_stack("live", environment="staging")
    stack.write_service("notes")
    assert "backed up" not in stack.keelson("up", "--yes").stdout
    added = stack.root / "sql/notes/migrations/002_more.sql"
    added.write_text("ALTER TABLE notes ADD COLUMN more text;\n")
    added.with_suffix(".down.sql").write_text("ALTER TABLE notes DROP COLUMN more;\n")
    stack.keelson("up", "--yes")
    assert reasons(stack) == ["before-migration"]

    refused = stack.keelson("migrate", "down", "notes", "--reason", "a test", check=False)
    assert refused.returncode == 1
    assert f"to take back 002_more.sql, add --confirm {stack.name}" in refused.stderr
    stack.keelson("migrate", "down", "notes", "--reason", "a test", "--confirm", stack.name)
    assert reasons(stack) == ["before-migration", "before-undo"]
    assert "pending 002_more.sql" in stack.pulumi("preview").stdout
    added.write_text("ALTER TABLE notes ADD COLUMN more bigint;\n")
    stack.keelson("up", "--yes")
    with stack.connect("notes", "admin") as admin:
        query = (
            "SELECT atttypid::regtype::text FROM pg_attribute WHERE attrelid = 'notes'::regclass AND attname = 'more'"
        )
        assert admin.execute(query).fetchone() == ("bigint",)

    added.write_text("ALTER TABLE notes ADD COLUMN more int8;\n")
    assert "accept the change by `keelson migrate repair notes`" in stack.pulumi("preview", check=False).stdout
    stack.keelson("migrate", "repair", "notes", "--reason", "the same by another name")
    updated = re.findall(r"^ ~ +\S+ (\S+) update", stack.pulumi("preview").stdout, re.MULTILINE)
    assert updated == ["notes-access"]  # which looks at the database again where its files changed


def reasons(stack: StackUnderTest) -> list[str]:
    found = json.loads(stack.keelson("backup", "list", "notes", "--json").stdout)
    return sorted(item["reason"] for item in found)
