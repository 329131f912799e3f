"""What a migration engine has to get right, and the tests that show it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CASES = {
    "a file fails in its midst": ["test_apply.py::test_a_failed_file_leaves_nothing_and_the_earlier_ones_stay"],
    "the runner is killed in a slow statement": ["test_apply.py::test_the_server_ends_the_work_of_a_killed_runner"],
    "the runner is killed, or cut off, at any message": [
        "faults/test_cuts.py::test_a_cut_after_a_message_leaves_nothing_half_done",
        "faults/test_cuts.py::test_a_runner_killed_at_a_message_leaves_nothing_half_done",
    ],
    "the server crashes": ["faults/test_crashes.py::test_a_crash_among_files_that_are_sent_together"],
    "killed between a statement and its note": [
        "test_interrupted_steps.py::test_a_block_or_procedure_that_does_not_commit_has_its_effect_once",
        "test_interrupted_steps.py::test_a_database_that_is_there_already_was_made_by_the_run_that_was_interrupted",
    ],
    "many runners on a fresh database": [
        "test_apply.py::test_four_runners_on_a_fresh_database_apply_each_file_once",
        "faults/test_cuts.py::test_ten_runners_at_once_all_end_well",
        "faults/test_cuts.py::test_ten_processes_at_once_all_end_well",
    ],
    "an index is built concurrently while others wait": [
        "test_steps.py::test_others_who_wait_for_the_lock_do_not_deadlock_with_an_index"
    ],
    "a concurrent build was interrupted or failed": [
        "test_steps.py::test_a_killed_runners_index_is_built_by_the_next",
        "test_steps.py::test_an_invalid_index_is_said_and_the_retry_builds_it_anew",
        "test_interrupted_steps.py::test_what_an_interrupted_reindex_left_is_removed",
        "test_interrupted_steps.py::test_an_index_whose_removal_was_interrupted_is_removed",
    ],
    "the wait for the lock ends": ["test_apply.py::test_one_who_waits_too_long_learns_who_migrates"],
    "a pooler stands between": ["test_runner.py::test_a_pooler_is_refused_plainly"],
    "a long transaction holds the table": [
        "test_odd_files.py::test_a_reader_never_waits_longer_than_the_lock_timeout",
        "test_apply.py::test_a_table_in_use_is_tried_again_until_it_is_free",
        "test_runner.py::test_who_holds_the_table_is_told_and_named_at_the_end",
    ],
    "tried again only where nothing was kept": ["test_steps.py::test_a_retry_goes_on_with_the_statement_that_failed"],
    "a deadlock": ["test_odd_files.py::test_a_deadlock_is_tried_again"],
    "a statement that no transaction takes": [
        "test_steps.py::test_the_directive_is_suggested_where_it_is_missing",
        "test_steps.py::test_a_procedure_that_commits_asks_for_the_directive",
    ],
    "BEGIN and COMMIT in a file": [
        "test_apply.py::test_a_file_cannot_end_its_own_transaction",
        "test_runner.py::test_a_begin_and_commit_round_a_whole_file_change_nothing",
    ],
    "rows of COPY": ["test_apply.py::test_inline_copy_data_is_loaded"],
    "byte order mark and CRLF": ["test_apply.py::test_a_file_with_byte_order_mark_and_crlf_applies_with_the_same_hash"],
    "an applied file edited": [
        "test_apply.py::test_an_edited_applied_file_is_refused_by_name",
        "test_undo_and_repair.py::test_a_comment_in_an_applied_file_is_no_change",
    ],
    "a database ahead of the files": ["test_apply.py::test_a_database_ahead_of_the_files_is_shown_and_not_touched"],
    "out of order, or one number twice": [
        "test_apply.py::test_a_file_out_of_order_is_refused_by_name",
        "test_files.py::test_two_files_of_one_version_are_refused_by_name",
    ],
    "a bad name, an empty file, not UTF-8": [
        "test_files.py::test_a_bad_name_is_refused_and_never_skipped",
        "test_files.py::test_an_empty_file_is_refused",
        "test_files.py::test_a_file_that_is_not_utf8_is_refused_with_line_and_byte",
    ],
    "a login that may only read": ["test_apply.py::test_a_reader_sees_the_status_without_any_other_right"],
    "another tool's ledger": ["test_adoption.py::test_a_ledger_is_taken_over_with_what_it_knows_and_no_sql_runs"],
    "what a file leaves in the session": [
        "test_apply.py::test_what_a_file_sets_is_gone_for_the_next",
        "test_odd_files.py::test_what_a_function_of_a_file_sets_is_gone_for_the_next_of_the_same_message",
        "test_odd_files.py::test_what_a_file_takes_for_its_session_ends_with_it",
    ],
    "a login without rights": ["test_apply.py::test_a_login_without_rights_gets_one_clear_sentence"],
    "nothing to do": ["test_apply.py::test_nothing_to_do_takes_no_lock_and_writes_nothing"],
    "timeouts of the role, the session ended": [
        "test_odd_files.py::test_settings_of_the_role_and_the_database_do_not_matter",
        "test_apply.py::test_a_lost_connection_says_so",
    ],
    "a function of the public schema in place of a built-in one": [
        "test_odd_files.py::test_a_function_that_is_named_like_a_built_in_one_is_not_called"
    ],
    "a read-only database, a standby": [
        "test_odd_files.py::test_a_read_only_database_says_what_to_do",
        "faults/test_crashes.py::test_a_standby_says_where_to_go",
    ],
    "seeds twice, changed, and for others": [
        "test_seeds.py::test_seeds_run_folder_by_folder_once_and_again_when_their_text_changes",
        "test_seeds.py::test_rows_of_another_environment_never_get_into_prod",
        "test_verify.py::test_a_seed_that_changes_rows_when_it_runs_again_fails",
    ],
    "drift": ["test_drift.py::test_each_change_by_hand_is_told"],
}


@pytest.mark.parametrize("case", CASES)
def test_each_case_has_its_tests(case: str) -> None:
    for entry in CASES[case]:
        name, _, test = entry.partition("::")
        assert re.search(rf"^def {test}\(", (Path(__file__).parent / name).read_text(), re.MULTILINE), entry
