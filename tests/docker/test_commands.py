"""Commands on a stack of which every file lies on the daemon's volumes."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from keelson.agent.jobs import Job
from keelson.backups.making import MANUAL, Source
from keelson.containers.model import DATA_PATH
from keelson.docker import names, toolbox
from keelson.docker.purging import purge, sweep
from keelson.endpoint import Reference, resolve
from keelson.inside import settings
from keelson.postgres.databases import ensure_database
from keelson.postgres.names import RoleNames
from keelson.postgres.roles import ensure_roles
from keelson.project import find_project
from tests.docker.small_stack import SmallStack, small_stack
from tests.services import PASSWORD
from tests.stack.harness import CHECKOUT, wait_until

SETTINGS = """
config:
  {project}:environment: dev
  {project}:target: docker
  {project}:docker: {{context: "{host}"}}
  {project}:servers: {{main: {{}}}}
  {project}:databases: [notes]
  {project}:pgadmin: {{enabled: false}}
  {project}:agent: {{enabled: false}}
"""


@dataclass(frozen=True)
class Project:
    """A project whose stack `dev` is the small stack."""

    root: Path
    stack: SmallStack
    reference: Reference

    def run(self, *arguments: str, given: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command of keelson to its end."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.root,
            env=os.environ | variables,
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            check=False,
        )

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "keelson", *arguments]


@pytest.fixture(scope="module")
def project(docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    root = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch, small_stack(docker_host) as stack:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.setenv("PYTHONPATH", str(CHECKOUT))
        patch.setenv("KEELSON_STACK", "dev")
        name = stack.key.removesuffix("-dev")
        (root / "Pulumi.yaml").write_text(f"name: {name}\nruntime: python\n")
        (root / "Pulumi.dev.yaml").write_text(SETTINGS.format(project=name, host=docker_host))
        (root / "sql" / "notes").mkdir(parents=True)
        (root / "sql" / "notes" / "database.yaml").write_text("server: main\n")
        text = settings.dump(find_project(root).stack("dev"))
        toolbox.ask(stack.place, stack.key, "put_settings", text=text)
        reference = Reference(stack=stack.key, target=stack.place, server="main", database="notes")
        with resolve(reference.to(database="postgres")).connect() as admin:
            ensure_roles(admin, stack.stack_of(), "notes", dict.fromkeys(RoleNames("notes").logins, PASSWORD))
            connect = lambda name: resolve(reference.to(database=name)).connect()  # noqa: E731
            ensure_database(admin, connect, stack.stack_of(), "notes", "notes_owner", ())
        with resolve(reference).connect() as admin:
            admin.execute("CREATE TABLE notes AS SELECT * FROM generate_series(1, 1000) AS id")
        yield Project(root, stack, reference)


def test_a_backup_is_made_and_listed_where_the_volumes_are(project: Project) -> None:
    made = project.run("backup", "run", "notes")
    assert made.returncode == 0, made.stderr
    assert "read back" in made.stdout

    [listed] = json.loads(project.run("backup", "list", "notes", "--json").stdout)
    assert (listed["database"], listed["reason"], listed["rows"]) == ("notes", "manual", 1000)


def test_the_exit_status_and_the_sentence_of_the_inside_are_passed_on(project: Project) -> None:
    done = project.run("backup", "run", "nothing")
    assert done.returncode == 1
    assert "has nothing 'nothing' to back up" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_backup_of_this_machine_is_copied_in_and_restored(project: Project, tmp_path: Path) -> None:
    path = project.stack.target.back_up(Source("postgres", project.reference), MANUAL, None).split(" on ")[0]
    fetched, _ = project.stack.container("toolbox").get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(fetched))) as archive:
        archive.extractall(tmp_path)  # noqa: S202 - our own daemon made it
    [local] = tmp_path.iterdir()

    done = project.run("restore", "notes", str(local), "--into", "notes_copy")

    assert done.returncode == 0, done.stderr
    assert "1000 rows" in done.stdout
    with resolve(project.reference.to(database="notes_copy")).connect() as admin:
        assert admin.execute("SELECT count(*) FROM notes").fetchone() == (1000,)
    _, left = project.stack.container("toolbox").exec_run(["ls", f"{DATA_PATH}/keelson"])
    assert b"incoming" not in left


def test_jobs_and_backups_are_known_from_outside(project: Project) -> None:
    place, key = project.stack.target, project.stack.key
    job = Job("backup-notes", "backup", project.reference, "0 2 * * *", settings={"keep_days": 3})
    place.put_job(key, job)
    assert place.find_job(key, "backup-notes") == job

    found = place.backups(key, ["notes", "redis"], None)
    assert found.of("notes").job == job
    assert found.of("redis").last == ""
    assert found.directory == f"the volume {key}-backups"

    place.drop_job(key, "backup-notes")
    assert place.find_job(key, "backup-notes") is None


def test_status_and_doctor_look_at_the_daemon(project: Project) -> None:
    wait_until(lambda: _states(project) == {"main": "answers", "redis": "answers"}, "both answer in time")

    findings = {each["check"]: each for each in json.loads(project.run("doctor", "--json").stdout)}
    assert "Docker Engine" in findings["platform"]["detail"]
    assert findings["disk"]["level"] == "ok"
    assert findings["backup disk"]["level"] == "warning"


def _states(project: Project) -> dict[str, str]:
    """Return the state of each part; it is unknown where a busy machine took too long to look."""
    found = json.loads(project.run("status", "--json").stdout)
    return {part["name"]: part["state"] for part in found["parts"]}


def test_psql_runs_inside_where_this_machine_has_none(project: Project, tmp_path: Path) -> None:
    done = project.run(
        "psql", "notes", "--role", "admin", "--", "-At", given="SELECT 40 + 2;\n", PATH="", XDG_CACHE_HOME=str(tmp_path)
    )
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr


def test_what_runs_inside_ends_with_who_asked(project: Project, tmp_path: Path) -> None:
    variables = {"PATH": "", "XDG_CACHE_HOME": str(tmp_path)}
    command = project.command("psql", "notes", "--role", "admin", "--", "-c", "SELECT pg_sleep(300)")
    with subprocess.Popen(
        command, cwd=project.root, env=os.environ | variables, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as asking:
        try:
            await_programs(project, "psql", 1)
        finally:
            asking.send_signal(signal.SIGKILL)
    await_programs(project, "psql", 0)


def test_a_terminal_is_handed_in(project: Project) -> None:
    process, terminal = pty.fork()
    if process == 0:  # pragma: no cover - the child
        os.chdir(project.root)
        os.execv(sys.executable, project.command("backup", "verify", "notes"))  # noqa: S606
    said = b""
    try:
        while block := os.read(terminal, 4096):
            said += block
    except OSError:  # its other end is closed
        pass
    finally:
        os.close(terminal)
        _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 0, said
    assert b"reads back, 1000 rows" in said


def test_what_runs_in_a_terminal_ends_with_the_terminal(project: Project, tmp_path: Path) -> None:
    process, terminal = pty.fork()
    if process == 0:  # pragma: no cover - the child
        os.chdir(project.root)
        os.environ.update(PATH="", XDG_CACHE_HOME=str(tmp_path))
        os.execv(sys.executable, project.command("psql", "notes", "--role", "admin"))  # noqa: S606
    try:
        await_programs(project, "psql", 1)
    finally:
        os.close(terminal)
        os.waitpid(process, 0)
    await_programs(project, "psql", 0)


@pytest.mark.parametrize(
    ("option", "mode"), [((), "require"), (("--ca", "ca.crt:/etc/ca.crt"), "verify-full&sslrootcert=%2Fetc%2Fca.crt")]
)
def test_a_container_is_told_the_name_on_the_network(project: Project, option: tuple[str, ...], mode: str) -> None:
    done = project.run("url", "notes", "--role", "admin", "--from", "container", *option)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith(f"@main:5432/notes?sslmode={mode}")
    assert not option or "BEGIN CERTIFICATE" in (project.root / "ca.crt").read_text()


def test_a_daemon_that_is_down_is_one_sentence(project: Project) -> None:
    path = project.root / "Pulumi.dev.yaml"
    before = path.read_text()
    path.write_text(before.replace(project.stack.place.removeprefix("docker@"), "unix:///nowhere/docker.sock"))
    try:
        for command in (["status"], ["doctor"], ["psql", "notes"], ["backup", "list"]):
            done = project.run(*command)
            assert done.returncode == 1, command
            said = done.stdout + done.stderr
            assert "no Docker daemon answers at unix:///nowhere/docker.sock (No such file or directory)" in said
            assert "Traceback" not in said
    finally:
        path.write_text(before)


def test_a_purge_leaves_nothing_on_the_daemon(docker_host: str) -> None:
    with small_stack(docker_host, parts=()) as stack:
        image, mounts = stack.container("toolbox").image, {names.state_volume(stack.key): {"bind": "/0", "mode": "rw"}}
        left = stack.client.containers.create(image, ["true"], volumes=mounts, labels=names.scratch(stack.key))
        sweep(stack.place, stack.key, older_than=600)
        assert left.id in {each.id for each in stack.client.containers.list(all=True, ignore_removed=True)}
        gone = list(purge(stack.place, stack.key))
        assert f"volume {names.backups_volume(stack.key)}" in gone
        assert not [volume for volume in stack.client.volumes.list() if volume.name.startswith(stack.key)]
        assert list(purge(stack.place, stack.key)) == []


def await_programs(project: Project, program: str, count: int) -> None:
    until = time.monotonic() + 30
    while True:
        processes = project.stack.container("toolbox").top(ps_args="-ww -eo pid,args")["Processes"]
        found = [words for words in processes if re.search(rf"/{program}( |$)", " ".join(words))]
        if len(found) == count:
            return
        assert time.monotonic() < until, found


def test_a_part_with_a_port_of_its_own_needs_no_way_kept_open(project: Project) -> None:
    done = project.run("forward", "main")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"main answers on 127\.0\.0\.1:\d+\n", done.stdout)
    refused = project.run("forward", "nothing")
    assert (refused.returncode, refused.stderr) == (1, "error: stack dev has no part 'nothing'; it has main, redis\n")
