"""Settings: every wrong key is one sentence that names it, and nothing is read half."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from keelson.errors import KeelsonError, SettingsError
from keelson.project import find_project
from keelson.settings.stack import read_stack, stack_key

GOOD = {"keelson:environment": "dev", "keelson:target": "local"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "sql" / "auth"
    folder.mkdir(parents=True)
    (folder / "database.yaml").write_text("server: main\n")
    return tmp_path


def test_every_folder_under_sql_is_a_database_when_none_is_listed(root: Path) -> None:
    stack = read_stack(GOOD, "keelson", "dev", root)
    assert list(stack.databases) == ["auth"]
    assert stack.key == "keelson-dev"


def test_server_parameters_override_those_of_the_stack(root: Path) -> None:
    config = GOOD | {
        "keelson:postgres": json.dumps({"work_mem": "4MB", "max_connections": 100, "fsync": True}),
        "keelson:servers": json.dumps({"main": {"postgres": {"work_mem": "8MB"}}}),
    }
    parameters = read_stack(config, "keelson", "dev", root).settings.parameters_of("main")
    assert parameters == {"work_mem": "8MB", "max_connections": "100", "fsync": "on"}


def test_keys_of_other_packages_are_not_ours(root: Path) -> None:
    assert read_stack(GOOD | {"docker:host": "unix:///x"}, "keelson", "dev", root).databases


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"keelson:targett": "local"}, "Pulumi.dev.yaml: unknown setting 'keelson:targett'; did you mean 'target'?"),
        ({"keelson:target": "moon"}, "Pulumi.dev.yaml: the setting 'keelson:target' is wrong: input should be 'local'"),
        ({"keelson:rotation": '{"auth": 0}'}, "the setting 'keelson:rotation.auth' is wrong: input should be greater"),
        ({"keelson:rotation": '{"quth": 2}'}, "'keelson:rotation.quth' names no service of the stack; take it out"),
        ({"keelson:rotate_after": "0"}, "the setting 'keelson:rotate_after' is wrong: input should be greater"),
        (
            {"keelson:rotate_after": "1"},
            "'keelson:rotate_overlap' is 24 hours, and 'keelson:rotate_after' comes round every 24; make it less",
        ),
        ({"keelson:rotate_overlap": "-1"}, "the setting 'keelson:rotate_overlap' is wrong: input should be greater"),
        ({"keelson:environment": "qa"}, "the setting 'keelson:environment' is wrong"),
        (
            {"keelson:servers": '{"main": {"prot": 1}}'},
            "unknown setting 'keelson:servers.main.prot'; did you mean 'port'?",
        ),
        (
            {"keelson:servers": '{"main": {"port": 80}}'},
            "'keelson:servers.main.port' is wrong: input should be greater",
        ),
        (
            {"keelson:servers": '{"timescale": {}}'},
            "sql/auth/database.yaml: the setting 'server' names 'main', but the stack has",
        ),
        (
            {"keelson:servers": '{"main": {"data_directory": "/x"}, "other": {"data_directory": "/x"}}'},
            "'keelson:servers.other.data_directory' lies in that of the server main; give each",
        ),
        (
            {"keelson:servers": '{"main": {"data_directory": "/x/y"}, "other": {"data_directory": "/x"}}'},
            "'keelson:servers.main.data_directory' lies in that of the server other",
        ),
        ({"keelson:databases": '["auth", "auth"]'}, "'keelson:databases' names 'auth' twice"),
        ({"keelson:databases": '["billing"]'}, "sql/billing/database.yaml is missing; `keelson service add billing`"),
        ({"keelson:databases": '["Billing"]'}, "'Billing' is not allowed"),
        ({"keelson:databases": '["bill ing"]'}, "'bill ing' is not allowed"),
        ({"keelson:databases": '["a\\"b"]'}, "is not allowed"),
        ({"keelson:databases": '["postgres"]'}, "'postgres' is not allowed"),
        ({"keelson:databases": '["select"]'}, "'select' is not allowed"),
        ({"keelson:databases": '["../auth"]'}, "'../auth' is not allowed"),
        ({"keelson:databases": '["x; DROP DATABASE auth; --"]'}, "is not allowed"),
        ({"keelson:databases": f'["{"a" * 41}"]'}, "41 characters"),
        ({"keelson:databases": "auth"}, "'keelson:databases' is wrong: write a list such as `[one, two]`"),
        ({"keelson:servers": "main"}, "'keelson:servers' is wrong: write keys such as `name: value`"),
        ({"keelson:redis": '{"main": {}}'}, "'keelson:redis.main' has the name of another part; choose another"),
        ({"keelson:redis": '{"auth": {}}'}, "'keelson:redis.auth' has the name of another part"),
        ({"keelson:redis": '{"agent": {}}'}, "'keelson:redis.agent' has the name of another part"),
        (
            {"keelson:redis": '{"a": {"databases": {"cache": 0}}, "cache": {}}'},
            "two of 'keelson:redis' have a database 'cache'; let one have it",
        ),
        (
            {"keelson:redis": '{"a": {"databases": {"x": 1, "y": 1}}}'},
            "'keelson:redis.a' is wrong: databases names number 1 twice",
        ),
        ({"keelson:redis": '{"a": {"databases": {"x": 16}}}'}, "'keelson:redis.a.databases.x' is wrong"),
        ({"keelson:redis": '{"a": {"maxmemory": "lots"}}'}, "'keelson:redis.a.maxmemory' is wrong"),
        ({"keelson:redis": '{"a": {"maxmemory_policy": "lru"}}'}, "'keelson:redis.a.maxmemory_policy' is wrong"),
        ({"keelson:pgadmin": '{"email": "admin"}'}, "'keelson:pgadmin.email' is wrong"),
        ({"keelson:pgadmin": '{"password": "short"}'}, "'keelson:pgadmin.password' is wrong"),
        ({"keelson:backup": '{"schedule": "daily"}'}, "'keelson:backup' is wrong: the schedule 'daily' cannot be read"),
        ({"keelson:backup": '{"time_zone": "Mars"}'}, "'keelson:backup' is wrong: the time zone 'Mars' is not known"),
        ({"keelson:backup": '{"keep_at_least": 0}'}, "'keelson:backup.keep_at_least' is wrong"),
        (
            {"keelson:backup": '{"ping": "https://hc-ping.com/key"}'},
            "is the same for all jobs; write {job} where their names go",
        ),
        ({"keelson:backup": '{"webhook": "ftp://example.org"}'}, "'keelson:backup.webhook' is wrong"),
        ({"keelson:backup": '{"webhook": "https://me:secret@example.org/"}'}, "'keelson:backup.webhook' is wrong"),
        ({"keelson:backup": '{"keep_at_most": 2}'}, "'keep_at_most' (2) is less than 'keep_at_least' (3)"),
        (
            {"keelson:backup": '{"bucket": {"name": "shop", "access_key": "a"}}'},
            "'bucket' needs 'recipients', since others",
        ),
        (
            {"keelson:backup": '{"bucket": {"name": "shop", "access_key": "a"}, "recipients": [], "directory": "/b"}'},
            "'bucket' and 'directory' exclude each other",
        ),
        (
            {"keelson:backup": '{"bucket": {"name": "shop", "access_key": "a", "endpoint": "s3.example.org"}}'},
            "'keelson:backup.bucket.endpoint' is wrong",
        ),
        (
            {
                "keelson:target": "docker",
                "keelson:backup": '{"bucket": {"name": "shop", "access_key": "a", "ca_file": "/ca.pem"}, "recipients": []}',
            },
            "'keelson:backup.bucket.ca_file' is for the target local",
        ),
        (
            {"keelson:backup": '{"webhook": "https://x.example:99999/"}'},
            "https://x.example:99999/ has a port that there is not",
        ),
        ({"keelson:backup": '{"recipients": ["age1me"]}'}, "'age1me' is no recipient of age; write the public key"),
        (
            {"keelson:backup": '{"directory": "backups"}'},
            "'keelson:backup.directory' is wrong: must be an absolute path",
        ),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_names_it(root: Path, change: dict[str, str], sentence: str) -> None:
    with pytest.raises(KeelsonError) as caught:
        read_stack(GOOD | change, "keelson", "dev", root)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sevrer: main\n", "sql/auth/database.yaml: unknown setting 'sevrer'; did you mean 'server'?"),
        ("description: x\n", "sql/auth/database.yaml: the setting 'server' is missing; add it"),
        ("server: [main\n", "sql/auth/database.yaml:2: not YAML"),
        ("- a\n", "sql/auth/database.yaml must hold keys"),
        ("server: main\nseeds: {demo: [nowhere]}\n", "'seeds.demo' names 'nowhere', but seeds/nowhere is missing"),
        ("server: main\nseeds: {prod: [dev]}\n", "'seeds.prod' names 'dev', "),
        ("", "sql/auth/database.yaml: the setting 'server' is missing; add it"),
        ("server: main\nlogins: {postgres: {}}\n", "the login's name 'postgres' is not allowed"),
        ("server: main\nlogins: {auth_owner: {}}\n", "'auth_owner' is a role that Keelson makes for 'auth' itself"),
        ("server: main\nlogins: {reader: {privileges: [drop]}}\n", "'logins.reader.privileges.0' is wrong"),
        (
            "server: main\nbackup: {schedule: 61 2 * * *}\n",
            "'backup' is wrong: the schedule '61 2 * * *' cannot be read",
        ),
        ("server: main\nbackup: {keep: 3}\n", "unknown setting 'backup.keep'; did you mean 'keep_days'?"),
        ("server: main\nmigrations: {directory: /db}\n", "'migrations.directory' is wrong: must be a path relative to"),
        (
            "server: main\nmigrations: {format: liquibase}\n",
            "'migrations.format' is wrong: input should be 'keelson', 'flyway'",
        ),
    ],
)
def test_a_wrong_database_yaml_is_one_sentence_that_names_it(root: Path, text: str, sentence: str) -> None:
    (root / "sql" / "auth" / "database.yaml").write_text(text)
    with pytest.raises(KeelsonError) as caught:
        read_stack(GOOD, "keelson", "dev", root)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_login_of_two_services_is_refused(root: Path) -> None:
    for name in ("auth", "billing"):
        (root / "sql" / name).mkdir(exist_ok=True)
        (root / "sql" / name / "database.yaml").write_text("server: main\nlogins: {reporter: {inherits: readonly}}\n")
    with pytest.raises(
        KeelsonError, match=r"^sql/billing/database.yaml: the login 'reporter' of 'logins' is auth's already"
    ):
        read_stack(GOOD, "keelson", "dev", root)


def test_a_login_with_the_name_of_another_services_role_is_refused(root: Path) -> None:
    (root / "sql" / "billing").mkdir()
    (root / "sql" / "billing" / "database.yaml").write_text("server: main\nlogins: {auth_app: {inherits: app}}\n")
    with pytest.raises(KeelsonError, match="the login 'auth_app' of 'logins' is auth's already"):
        read_stack(GOOD, "keelson", "dev", root)


def test_policies_for_a_server_without_timescaledb_are_refused(root: Path) -> None:
    (root / "sql" / "auth" / "timescale.yaml").touch()
    with pytest.raises(KeelsonError, match=r"sql/auth/timescale.yaml: the server main .* has no TimescaleDB"):
        read_stack(GOOD, "keelson", "dev", root)
    (root / "sql" / "auth" / "database.yaml").write_text("server: timescale\n")
    assert read_stack(GOOD, "keelson", "dev", root).databases


def test_a_hidden_folder_is_no_database(root: Path) -> None:
    (root / "sql" / ".idea").mkdir()
    assert list(read_stack(GOOD, "keelson", "dev", root).databases) == ["auth"]


def test_a_folder_in_place_of_a_file_is_named(root: Path) -> None:
    (root / "sql" / "auth" / "database.yaml").unlink()
    (root / "sql" / "auth" / "database.yaml").mkdir()
    with pytest.raises(KeelsonError, match=r"sql/auth/database.yaml cannot be read: Is a directory; make it a file"):
        read_stack(GOOD, "keelson", "dev", root)


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("Pulumi.yaml", "name: keelson\nbackend: s3\n", "Pulumi.yaml: the setting 'backend' must hold keys"),
        ("Pulumi.dev.yaml", "config: [a]\n", "Pulumi.dev.yaml: the setting 'config' must hold keys"),
        ("Pulumi.dev.yaml", "- a\n", "Pulumi.dev.yaml must hold keys"),
        ("Pulumi.dev.yaml", "config: {\n", "Pulumi.dev.yaml:2: not YAML"),
    ],
)
def test_a_wrong_file_of_the_project_is_named(root: Path, file: str, text: str, sentence: str) -> None:
    (root / "Pulumi.yaml").write_text("name: keelson\n")
    (root / "Pulumi.dev.yaml").write_text("config: {}\n")
    (root / file).write_text(text)
    with pytest.raises(KeelsonError, match=sentence):
        find_project(root).stack("dev")


def test_a_database_yaml_that_is_not_utf_8_is_named(root: Path) -> None:
    (root / "sql" / "auth" / "database.yaml").write_bytes(b"server: m\xe4in\n")
    with pytest.raises(KeelsonError, match=r"sql/auth/database.yaml is not UTF-8 \(byte 9\)"):
        read_stack(GOOD, "keelson", "dev", root)


def test_a_qualified_stack_name_counts_by_its_last_part() -> None:
    assert stack_key("keelson", "organization/keelson/dev") == "keelson-dev"


@pytest.mark.parametrize("environment", ["staging", "prod"])
def test_a_protected_stack_refuses_the_published_passphrase(
    root: Path, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    config = GOOD | {"keelson:environment": environment}
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "keelson")
    with pytest.raises(
        SettingsError, match=r"Pulumi\.shared\.yaml: the environment .* is protected, and PULUMI_CONFIG"
    ):
        read_stack(config, "keelson", "shared", root)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "one of its own")
    assert read_stack(config, "keelson", "shared", root).settings.protected


def test_the_published_passphrase_serves_a_stack_that_is_not_protected(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "keelson")
    assert not read_stack(GOOD, "keelson", "dev", root).settings.protected


def test_secrets_at_any_depth_of_a_stack_file_are_left_out(root: Path) -> None:
    (root / "Pulumi.yaml").write_text("name: keelson\n")
    (root / "Pulumi.dev.yaml").write_text(
        "config:\n  keelson:environment: dev\n  keelson:target: local\n"
        "  keelson:pgadmin: {password: {secure: v1:x}}\n"
        "  keelson:redis: {redis: {maxmemory: 64mb, passwords: {auth_app: {secure: v1:y}}}}\n"
    )
    settings = find_project(root).stack("dev").settings
    assert settings.pgadmin.password is None
    assert (settings.redis["redis"].maxmemory, settings.redis["redis"].passwords) == ("64mb", {})


def test_a_part_takes_the_stacks_backup_settings_but_for_what_it_changes(root: Path) -> None:
    (root / "sql/auth/database.yaml").write_text("server: main\nbackup: {keep_days: 7}\n")
    stack = read_stack(GOOD | {"keelson:backup": '{"schedule": "0 3 * * *"}'}, "keelson", "dev", root)
    assert (stack.backup_of("auth").schedule, stack.backup_of("auth").keep_days) == ("0 3 * * *", 7)
    assert (stack.backup_of("redis").schedule, stack.backup_of("redis").keep_days) == ("0 3 * * *", 30)


def test_rules_of_the_linter_count_as_the_database_says_then_the_stack(root: Path) -> None:
    (root / "sql/auth/database.yaml").write_text("server: main\nlint: {json-type: off}\n")
    config = GOOD | {"keelson:lint": '{"json-type": "error", "ban-drop-table": false}'}
    assert read_stack(config, "keelson", "dev", root).lint_of("auth") == {"json-type": "off", "ban-drop-table": "off"}


@pytest.mark.parametrize(
    ("lint", "sentence"),
    [
        ('{"ban-drop-tables": "off"}', "'keelson:lint' is wrong: there is no rule 'ban-drop-tables'; did you mean 'ban-drop-table'?"),
        ('{"ban-drop-table": "fatal"}', "'keelson:lint.ban-drop-table' is wrong: input should be 'error', 'warning' or 'off'"),
    ],
)  # fmt: skip
def test_a_rule_that_is_not_is_named(root: Path, lint: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_stack(GOOD | {"keelson:lint": lint}, "keelson", "dev", root)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("key", ["passwords", "redis"])
def test_a_chosen_password_that_no_file_can_hold_is_refused_and_not_shown(root: Path, key: str) -> None:
    chosen = {"auth_app_a": "first\nsecond"}
    value = chosen if key == "passwords" else {"redis": {"passwords": chosen}}
    with pytest.raises(KeelsonError, match="auth_app_a' is wrong: must have no line break") as caught:
        read_stack(GOOD | {f"keelson:{key}": json.dumps(value)}, "keelson", "dev", root)
    assert "second" not in str(caught.value)
