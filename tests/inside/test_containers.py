"""The containers of the agent's image where the platform runs the jobs and keeps the state as a secret."""

from __future__ import annotations

from dataclasses import replace

from keelson.containers import job, toolbox
from keelson.containers.agent import AgentKind
from keelson.containers.model import DATA_PATH, STATE_PATH, Mount, PartSpec

SPEC = PartSpec("kubernetes", "shop-prod", "0123456789ab", "agent", "agent", "keelson/agent:1", 10001, 10001)
STATE = Mount("/run/keelson", read_only=True)


def test_the_agent_reads_the_mounted_state_and_writes_no_backup() -> None:
    usual = AgentKind().container(SPEC)
    made = AgentKind().container(replace(SPEC, settings={"jobs_elsewhere": True}))
    assert made.command == (*usual.command, "--state", "/run/keelson/state.json")
    assert made.volumes == {"backups": Mount(DATA_PATH, read_only=True), "secret": STATE}
    assert made.memory.keys() == {*usual.memory, STATE_PATH}
    assert (made.healthcheck, made.networks) == (usual.healthcheck, usual.networks)


def test_a_job_reads_the_mounted_state_and_writes_backups() -> None:
    made = job.container("shop-prod", "backup-auth")
    words = ("keelson.inside.job", "shop-prod", "backup-auth", "--state", "/run/keelson/state.json")
    assert made.command == ("python3", "-I", "-m", *words)
    assert made.volumes == {"backups": Mount(DATA_PATH), "secret": STATE}
    assert (STATE_PATH in made.memory, made.networks) == (True, ("product",))
    assert made.stop_timeout >= 25, "a run has 20 s to clear up"


def test_the_toolbox_keeps_the_state_that_it_is_handed_in_memory() -> None:
    usual, made = toolbox.container(), toolbox.container(state_in_memory=True)
    assert made.volumes == {"backups": Mount(DATA_PATH)}
    assert made.memory.keys() == {*usual.memory, STATE_PATH}
    assert replace(made, volumes=usual.volumes, memory=usual.memory) == usual
