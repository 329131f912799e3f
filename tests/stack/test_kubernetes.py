"""Whole stacks in a real cluster: from nothing to destroyed, what an edit costs, and what a stack survives.

One stack serves most of the tests, which change it in turn.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shutil
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from keelson import paths
from keelson.docker import images as ours
from keelson.kubernetes import names
from tests import cluster as shared
from tests import storage
from tests.conftest import WHOLE
from tests.stack.certificates import aged, is_trusted, serial_at, shorten_in_state
from tests.stack.harness import CHECKOUT, changed, wait_until
from tests.stack.kubernetes_stack import SMALL, KubernetesStack
from tests.stack.shop import Shop
from tests.stack.test_backups import listed
from tests.stack.test_faults import kill_up_after
from tests.stack.test_harden import faults
from tests.stack.test_ten_databases import DATABASES
from tests.stack.writers import Writer, at_work

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(900)]
Make = Callable[..., KubernetesStack]
SECOND = {
    "migrations/002_tags.sql": "CREATE TABLE tags (name text PRIMARY KEY);\n",
    "migrations/002_tags.down.sql": "DROP TABLE tags;\n",
}
KEPT_CLAIM = f"persistentvolumeclaims/{names.BACKUPS}"
DELETED = (("statefulsets", "main"), ("secrets", "main-config"), ("services", "main"), ("deployments", "toolbox"))
BOUNDED = 180.0  # seconds after which a server that cannot start must have been given up


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, kubeconfig: Path, docker_host: str) -> Iterator[Make]:
    """Make stacks that are ended, whatever happens, after the tests of this module."""
    made: list[KubernetesStack] = []

    def new(**settings: Any) -> KubernetesStack:
        made.append(KubernetesStack(tmp_path_factory.mktemp("kubernetes"), kubeconfig, docker_host, **settings))
        return made[-1]

    try:
        yield new
    finally:
        for each in made:
            each.end()


@pytest.fixture(scope="module")
def stack(make: Make) -> KubernetesStack:
    """A stack with one server and one service of ten rows, up."""
    made = make()
    made.write_service("notes")
    made.keelson("up")
    return made


@pytest.fixture
def rows(stack: KubernetesStack) -> Iterator[None]:
    """What was committed before the test is there after it, and the stack is well."""
    with stack.connect("notes", "admin") as connection:
        connection.execute("INSERT INTO notes (body) VALUES ('committed')")
    before = stack.count("notes", "notes")
    yield
    wait_until(lambda: _well(stack), "the stack is well", seconds=60)
    assert stack.count("notes", "notes") == before
    with stack.connect("notes") as connection:  # as the application, whose password it is too
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (before,)


def _well(stack: KubernetesStack) -> bool:
    return stack.keelson("status", check=False).returncode == 0


def _unchanged(said: str) -> bool:
    return bool(re.search(r"^ *\d+ unchanged$", said, re.MULTILINE)) and not changed(said)


def _said(stack: KubernetesStack, *arguments: str, **more: Any) -> str:
    """Run a command that fails, and return what it says."""
    done = stack.keelson(*arguments, check=False, **more)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr + done.stdout


def _unreachable(stack: KubernetesStack) -> Path:
    """Return a kubeconfig of a cluster where nobody listens."""
    path = stack.home / "unreachable"
    text, count = re.subn(r"https://[\d.]+:\d+", "https://127.0.0.1:1", stack.kubeconfig.read_text())
    assert count
    path.write_text(text)
    return path


def _with_image(stack: KubernetesStack, reference: str) -> None:
    traits = ours.traits("postgres")
    own = {"reference": reference, "uid": traits.uid, "gid": traits.gid}
    stack.write_settings(kubernetes=stack.settings["kubernetes"] | {"image": {"postgres": own}})


def _with_usual_image(stack: KubernetesStack) -> None:
    stack.write_settings(kubernetes={k: v for k, v in stack.settings["kubernetes"].items() if k != "image"})


def test_up_makes_a_service_that_answers_and_a_second_up_changes_nothing(stack: KubernetesStack) -> None:
    assert stack.count("notes", "notes") == 10
    assert _unchanged(stack.keelson("up").stdout)
    assert json.loads(stack.keelson("status", "--json").stdout)["well"]
    query = ("psql", "notes", "--", "-Atc", "SELECT count(*), current_user FROM notes")
    assert stack.keelson(*query).stdout == "10|notes_app_a\n"


def test_its_server_is_as_safe_as_it_should_be(stack: KubernetesStack) -> None:
    assert faults(stack) == {}


def test_secrets_that_every_account_may_read_are_found(stack: KubernetesStack) -> None:
    api = "rbac.authorization.k8s.io/v1"
    role, binding = (stack.cluster.at(kind, "reading", api=api) for kind in ("roles", "rolebindings"))
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
    everybody = {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:serviceaccounts"}
    reference = {"kind": "Role", "apiGroup": "rbac.authorization.k8s.io", "name": "reading"}
    named = {"apiVersion": api, "metadata": {"name": "reading"}}
    stack.cluster.apply(role, named | {"kind": "Role", "rules": rules})
    stack.cluster.apply(binding, named | {"kind": "RoleBinding", "roleRef": reference, "subjects": [everybody]})
    try:
        found = f"every account may get secrets in the namespace {stack.key}"
        wait_until(lambda: faults(stack) == {"main: private-files": found}, "it is found", seconds=30)
    finally:
        stack.cluster.delete(binding)
        stack.cluster.delete(role)


def test_what_its_cronjob_backs_up_is_verified_and_restored(stack: KubernetesStack) -> None:
    stack.run_job("notes-backup")
    (backup,) = listed(stack, "notes")
    assert backup["id"] in stack.backups_of("notes")
    stack.keelson("backup", "verify", "notes")
    stack.keelson("restore", "notes", "--into", "notes_copy")
    query = ("--role", "admin", "--database", "notes_copy", "--", "-Atc", "SELECT count(*) FROM notes")
    assert stack.keelson("psql", "notes", *query).stdout == "10\n"
    stack.keelson("restore", "notes", "--discard", "notes_copy")
    stack.run_job("notes-drill")
    (status,) = json.loads(stack.keelson("status", "--json").stdout)["databases"]
    assert not status["drill"]["fault"]
    assert datetime.fromisoformat(status["drill"]["last"]) > datetime.fromisoformat(backup["begun"])
    assert stack.sh('ls "$BACKUPS/notes/drills" | wc -l; ls -A "$BACKUPS/../../scratch"') == "1\n"


@pytest.mark.long
def test_a_cronjob_backs_up_into_a_bucket_outside_from_which_it_comes_back(
    stack: KubernetesStack, tmp_path: Path
) -> None:
    node, before = shared.at_node(stack.kubeconfig)
    with storage.running(tmp_path / "data", tmp_path / "notes", node, before) as server:
        stack.write_settings(backup={"bucket": server.settings | {"secret_key": storage.SECRET}, "recipients": []})
        stack.keelson("up")
        stack.run_job("notes-backup")
        (made,) = listed(stack, "notes")
        assert [path for path in server.files if f"/notes/{made['id']}/" in path]
        stack.keelson("restore", "notes", "--into", "notes_back")
        stack.keelson("restore", "notes", "--discard", "notes_back")
    stack.write_settings(backup={})
    stack.keelson("up")


@pytest.mark.thorough
def test_commands_work_as_on_other_targets(stack: KubernetesStack) -> None:
    before = len(listed(stack, "notes"))
    stack.keelson("backup", "run", "notes")
    assert len(listed(stack, "notes")) == before + 1
    assert "Traceback" not in stack.keelson("doctor", check=False).stdout
    assert stack.keelson("doctor").returncode == 0
    assert "INSERT" not in stack.keelson("logs", "main").stdout
    refused = stack.keelson("url", "notes", check=False)
    assert (refused.returncode, "--from cluster" in refused.stderr) == (1, True)


@pytest.mark.thorough
def test_an_application_in_the_namespace_gets_what_it_connects_with(stack: KubernetesStack) -> None:
    lines = dict(line.split("=", 1) for line in stack.keelson("env", "notes", "--from", "cluster").stdout.splitlines())
    assert f"@main.{stack.key}.svc:5432/notes" in lines["DATABASE_URL"]
    program = (
        "import psycopg, sys; print(psycopg.connect(sys.argv[1]).execute('SELECT count(*) FROM notes').fetchone())"
    )
    assert stack.sh('python3 -c "$1" "$2"', program, lines["DATABASE_URL"]) == "(10,)\n"


@pytest.mark.thorough
def test_a_preview_asks_no_cluster_and_tells_what_is_pending(stack: KubernetesStack) -> None:
    without = {"KUBECONFIG": "", "HOME": str(stack.home)}
    nowhere = {"KUBECONFIG": str(_unreachable(stack))}
    for lacking in (without, nowhere):
        assert _unchanged(stack.keelson("preview", env=lacking).stdout)
    stack.write_service("notes", SECOND)
    try:
        said = stack.keelson("preview", env=nowhere).stdout
        assert "002_tags.sql" in said
        assert changed(said) == {"Schema", "Access"}
    finally:
        for name in SECOND:
            (stack.root / "sql/notes" / name).unlink()


@pytest.mark.thorough
@pytest.mark.usefixtures("rows")
def test_a_parameter_is_reloaded_and_one_that_needs_a_restart_restarts_the_server(stack: KubernetesStack) -> None:
    before = stack.uid("main")
    stack.write_settings(servers={"main": {"postgres": {"work_mem": "5MB"}}})
    stack.keelson("up")
    assert (_shown(stack, "work_mem"), stack.uid("main")) == ("5MB", before)
    stack.write_settings(servers={"main": {"postgres": {"work_mem": "5MB", "max_connections": "77"}}})
    said = stack.keelson("up").stdout
    assert "restarted for max_connections" in said
    assert _shown(stack, "max_connections") == "77"
    assert stack.uid("main") != before
    assert _unchanged(stack.keelson("up").stdout)


def _shown(stack: KubernetesStack, parameter: str) -> str:
    with stack.connect("notes", "admin") as connection:
        row = connection.execute(f"SHOW {parameter}").fetchone()
    assert row
    return str(row[0])


@pytest.mark.thorough
@pytest.mark.usefixtures("rows")
def test_a_volume_grows_and_a_preview_refuses_to_shrink_it(stack: KubernetesStack) -> None:
    before = stack.uid("main")
    stack.write_settings(servers={"main": stack.settings["servers"]["main"] | {"storage": "96Mi"}})
    assert changed(stack.keelson("preview").stdout) == {"KubernetesVolume"}
    stack.keelson("up")
    assert stack.item("persistentvolumeclaims", "main-data")["spec"]["resources"]["requests"]["storage"] == "96Mi"
    assert stack.uid("main") == before
    stack.write_settings(servers={"main": stack.settings["servers"]["main"] | {"storage": SMALL}})
    assert f"the volume of main holds 96Mi and cannot shrink to {SMALL}" in _said(stack, "preview")
    stack.write_settings(servers={"main": stack.settings["servers"]["main"] | {"storage": "96Mi"}})


@pytest.mark.long
@pytest.mark.usefixtures("rows")
def test_another_image_takes_the_data_over_after_a_backup(
    stack: KubernetesStack, kubeconfig: Path, docker_host: str
) -> None:
    usual = shared.bring(kubeconfig, docker_host, ["postgres"])["postgres"]
    other = "keelson-test/postgres:other"
    shared.rename(kubeconfig, docker_host, usual, other)
    before, uid = len(listed(stack, "notes")), stack.uid("main")
    _with_image(stack, other)
    stack.keelson("up")
    assert stack.pod("main")["spec"]["containers"][0]["image"] == other
    assert stack.uid("main") != uid
    assert len(listed(stack, "notes")) == before + 1
    _with_usual_image(stack)
    stack.keelson("up")


@pytest.mark.long
@pytest.mark.usefixtures("rows")
def test_an_image_that_does_not_exist_is_named_and_the_right_one_mends_it(stack: KubernetesStack) -> None:
    _with_image(stack, "localhost:1/postgres:none")
    began = time.monotonic()
    said = _said(stack, "up", timeout=600)
    assert time.monotonic() - began < BOUNDED
    assert "localhost:1/postgres:none" in said
    assert "main does not answer: " in said
    _with_usual_image(stack)
    stack.keelson("up")
    assert _unchanged(stack.keelson("up").stdout)


@pytest.mark.thorough
def test_what_a_writer_was_told_is_committed_outlasts_its_pod(stack: KubernetesStack) -> None:
    acknowledged: list[int] = []
    ended = threading.Event()

    def write() -> None:
        with contextlib.suppress(psycopg.Error), stack.connect("notes", "admin") as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS written (n int)")
            for number in range(1_000_000):
                if ended.is_set():
                    return
                connection.execute("INSERT INTO written VALUES (%s)", (number,))
                acknowledged.append(number)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_until(lambda: len(acknowledged) > 100, "rows are written", 30)
        began = time.monotonic()
        stack.delete("pods", stack.pod("main")["metadata"]["name"], gracePeriodSeconds=0)
    finally:
        ended.set()
        writer.join(60)
    wait_until(lambda: _well(stack), "the stack is well", 120)
    print(f"well {time.monotonic() - began:.1f} s after its pod was deleted")  # noqa: T201 - a figure
    with stack.connect("notes", "admin") as connection:
        kept = {row[0] for row in connection.execute("SELECT n FROM written").fetchall()}
        connection.execute("DROP TABLE written")
    assert {*acknowledged} <= kept


@pytest.mark.long
@pytest.mark.usefixtures("rows")
def test_a_stack_whose_state_was_lost_makes_new_passwords_and_keeps_its_data(stack: KubernetesStack) -> None:
    before, uid = stack.passwords(), stack.uid("main")
    stack.delete("secrets", names.STATE)
    assert "run `keelson up" in _said(stack, "psql", "notes")
    stack.keelson("up")
    after = stack.passwords()
    assert before.keys() == after.keys()
    assert before != after
    assert stack.uid("main") == uid
    assert _unchanged(stack.keelson("up").stdout)


@pytest.mark.thorough
@pytest.mark.usefixtures("rows")
def test_what_was_deleted_by_hand_is_made_again(stack: KubernetesStack) -> None:
    for kind, name in DELETED:
        stack.delete(kind, name)
    stack.keelson("up")
    assert {f"{kind}/{name}" for kind, name in DELETED} <= {*stack.things()}
    assert _unchanged(stack.keelson("up").stdout)


@pytest.mark.thorough
def test_a_cluster_that_cannot_be_reached_is_one_sentence(stack: KubernetesStack) -> None:
    nowhere = {"KUBECONFIG": str(_unreachable(stack))}
    for command in (("up",), ("psql", "notes"), ("backup", "list")):
        said = _said(stack, *command, env=nowhere)
        assert "127.0.0.1:1" in said
        assert said.count("\n") == 1, said


@pytest.mark.thorough
def test_an_up_that_is_killed_is_finished_by_the_next_beside_another_stack(make: Make, stack: KubernetesStack) -> None:
    other = make()
    other.write_service("notes")
    shared.bring(other.kubeconfig, other.host, other.images)
    for seconds in (2.0, 5.0, 8.0):
        kill_up_after(other, seconds)
    other.keelson("up")
    wait_until(lambda: not other.engine_processes(), "no process of the engine is left", seconds=10)
    assert "pending_operations" not in other.export()["deployment"]
    assert _unchanged(other.keelson("up").stdout)
    with other.connect("notes", "admin") as connection:
        connection.execute("DELETE FROM notes")
    assert stack.count("notes", "notes") >= 10
    other.keelson("destroy", "--yes")
    assert other.things() == [KEPT_CLAIM]
    assert _well(stack)


@pytest.fixture(scope="module")
def shop(stack: KubernetesStack) -> Iterator[Shop]:
    """An application in another namespace that uses the service."""
    with contextlib.closing(Shop(stack)) as made:
        stack.keelson("up")
        yield made


@pytest.mark.thorough
def test_a_rotation_and_a_step_back_refuse_nobody_and_an_application_s_secret_follows(
    stack: KubernetesStack, shop: Shop
) -> None:
    first = shop.told()
    anew, constant = Writer(lambda: shop.log_in(shop.told())), Writer(lambda: shop.log_in(first))
    with at_work(anew, constant):
        shop.rotate()
        second = shop.told()
        shop.rotate("--back")
    assert (anew.failed, constant.failed) == ([], [])
    turns = [user for user, _ in itertools.groupby(anew.users)]
    assert turns == ["notes_app_a", "notes_app_b", "notes_app_a"]
    assert second["DATABASE_URL"].startswith("postgresql://notes_app_b:")
    assert shop.told() == first
    shop.log_in(second).close()
    assert _unchanged(stack.keelson("up").stdout)


@pytest.mark.long
def test_certificate_and_authority_are_renewed_by_an_up_and_no_client_is_lost(
    stack: KubernetesStack, shop: Shop, tmp_path: Path
) -> None:
    old = shop.told()["ca.crt"]
    stack.write("tls/ca.crt", aged(stack, left=1000))
    shorten_in_state(stack, "main")
    stack.pulumi("refresh", "--yes")
    assert "is renewed by a reload" in stack.keelson("preview").stdout
    with stack.connect("notes", "admin") as session:
        before, pod = serial_at(session), stack.uid("main")
        stack.keelson("up")
        wait_until(lambda: serial_at(session) != before, "the server shows its new certificate")
        assert session.execute("SELECT 1").fetchone() == (1,)
    assert stack.uid("main") == pod
    new = shop.told()["ca.crt"]
    assert new.count("BEGIN CERTIFICATE") == 2, "an application is told of the next authority"
    parameters = stack.endpoint("notes").connection_parameters()
    assert [is_trusted(parameters, each, tmp_path / "ca.crt") for each in (old, new)] == [True, True]
    stack.run_job("notes-backup")
    assert _unchanged(stack.keelson("up").stdout)


@pytest.mark.long
def test_an_application_shows_a_certificate_once_its_service_asks_for_one(
    stack: KubernetesStack, shop: Shop, tmp_path: Path
) -> None:
    path, before = stack.root / "sql/notes/database.yaml", shop.told()
    kept = path.read_text()
    path.write_text(f"{kept}client_certificates: {{app: with_password}}\n")
    stack.keelson("up")
    told = shop.told()
    with pytest.raises(psycopg.OperationalError, match="connection requires a valid client certificate"):
        shop.log_in(told)
    shown = {}
    for parameter, name in (("sslcert", "client.crt"), ("sslkey", "client.key")):
        paths.write_private(tmp_path / name, told[name])
        shown[parameter] = str(tmp_path / name)
    shop.log_in(told | shown).close()
    assert stack.keelson("psql", "notes", "--", "-Atc", "SELECT current_user").stdout == "notes_app_a\n"
    words = [line for line in told["client.key"].splitlines() if "-----" not in line]
    assert not [word for word in words if word in str(stack.export())]
    assert _unchanged(stack.keelson("up").stdout)
    path.write_text(kept)
    stack.keelson("up")
    assert shop.told() == before
    shop.log_in(before).close()


@pytest.mark.thorough
def test_destroy_leaves_the_backups_alone_and_the_next_up_finds_them(stack: KubernetesStack) -> None:
    stack.keelson("backup", "run", "notes")
    before = [backup["id"] for backup in listed(stack, "notes")]
    stack.keelson("destroy", "--yes")
    wait_until(lambda: stack.things() == [KEPT_CLAIM], "all but the backups is gone", 60)
    assert not stack.processes()
    stack.keelson("up")
    assert stack.count("notes", "notes") == 10
    assert [backup["id"] for backup in listed(stack, "notes")] == before
    stack.keelson("destroy", "--yes")


@pytest.mark.thorough
def test_a_protected_stack_is_destroyed_only_by_its_name_and_keeps_its_volumes(make: Make) -> None:
    stack = make(environment="staging")
    stack.write_service("notes")
    stack.keelson("up")
    with stack.connect("notes", "admin") as connection:
        connection.execute("INSERT INTO notes (body) VALUES ('committed')")
    assert f"add --confirm {stack.name}" in _said(stack, "destroy", "--yes")
    assert stack.count("notes", "notes") == 1  # seeds of dev are not staging's
    said = stack.keelson("destroy", "--yes", "--confirm", stack.name).stdout
    assert "notes: backed up to" in said
    assert not stack.pods("main")
    assert {KEPT_CLAIM, "persistentvolumeclaims/main-data"} <= {*stack.things()}
    stack.keelson("up")
    assert stack.count("notes", "notes") == 1
    assert {backup["reason"] for backup in listed(stack, "notes")} >= {"before-destroy"}
    with stack.connect("notes") as connection:
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (1,)


@pytest.fixture(scope="module")
def whole(make: Make) -> KubernetesStack:
    """The project's ten databases on two servers, with all daemons, up."""
    made = make(**WHOLE)
    shutil.copytree(CHECKOUT / "sql", made.root / "sql", dirs_exist_ok=True)
    began = time.monotonic()
    made.keelson("up", timeout=600)
    print(f"ten databases are up after {time.monotonic() - began:.1f} s")  # noqa: T201 - a figure
    return made


@pytest.mark.thorough
def test_the_ten_databases_come_up_with_all_daemons(whole: KubernetesStack) -> None:
    wait_until(lambda: _well(whole), "the stack is well", 120)
    status = json.loads(whole.keelson("status", "--json").stdout)
    assert [database["name"] for database in status["databases"]] == DATABASES
    assert {part["name"] for part in status["parts"]} == {"main", "timescale", "redis", "pgadmin", "agent"}
    for name in DATABASES:
        with whole.connect(name) as connection:
            assert connection.execute("SELECT current_user").fetchone() == (f"{name}_app_a",)
    assert faults(whole) == {}
    began = time.monotonic()
    assert _unchanged(whole.keelson("up").stdout)
    print(f"a second up took {time.monotonic() - began:.1f} s")  # noqa: T201 - a figure


@pytest.mark.thorough
def test_agent_pgadmin_and_redis_serve(whole: KubernetesStack) -> None:
    wait_until(lambda: _well(whole), "the stack is well", 120)
    page = json.loads(_page(whole, "agent", "/health"))
    assert page["well"], page
    assert {part["name"] for part in page["parts"]} >= {"main", "timescale", "redis"}
    assert _page(whole, "pgadmin", "/misc/ping") == "PING"
    set_and_get = [("set", "auth:greeting", "hello"), ("get", "auth:greeting")]
    said = [whole.keelson("redis-cli", "auth", "--", *words).stdout for words in set_and_get]
    assert said == ["OK\n", "hello\n"]
    assert "NOPERM" in whole.keelson("redis-cli", "auth", "--", "keys", "*").stdout
    whole.run_job("redis-backup")
    assert listed(whole, "redis")


def _page(stack: KubernetesStack, part: str, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{stack.port(part)}{path}", timeout=10) as answer:
        return str(answer.read().decode())
