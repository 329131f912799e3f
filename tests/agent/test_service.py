"""The agent as a process: killed, stopped, asked, and on a full disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from keelson import paths
from keelson.agent import jobs, state
from keelson.local import processes, registry
from tests.agent import program
from tests.agent.conftest import KEY, PROGRAM, Agents, Jobs, get
from tests.local import namespaces
from tests.stack.harness import wait_until


def _due_once(stack: Jobs, **more: Any) -> None:
    """Write a job down that was due yesterday, and will not be due again during the test."""
    stack.now = time.time() - 86_400
    hour = (time.gmtime().tm_hour - 6) % 24
    stack.put(schedule=f"0 {hour} * * *", **more)


def _health(port: int) -> tuple[int, dict[str, Any]]:
    status, body = get(port, "/health")
    return status, json.loads(body)


def _job(port: int) -> dict[str, Any]:
    [job] = _health(port)[1]["jobs"]
    return dict(job)


def test_a_job_due_while_the_agent_was_down_runs_once(stack: Jobs, agents: Agents) -> None:
    _due_once(stack)
    _, port = agents.start()
    wait_until(lambda: stack.state().succeeded, "the job ran", seconds=20)
    job = _job(port)
    assert (job["well"], job["error"], job["failures"], job["running"]) == (True, "", 0, False)
    assert job["last_success"]
    agents.end()
    agents.made.clear()
    _, port = agents.start()
    wait_until(lambda: len(_health(port)[1]["jobs"]) == 1, "the agent is back")
    assert stack.runs == 1


def test_a_killed_agent_takes_its_run_with_it_which_clears_up_and_is_done_again(stack: Jobs, agents: Agents) -> None:
    _due_once(stack, do="hang")
    first, _ = agents.start()
    wait_until(lambda: len(stack.notes) == 2, "the job hangs", seconds=20)
    run = int(stack.notes[-1].split()[1])
    first.kill()
    assert processes.wait_until_gone([run], seconds=5)
    assert not stack.half_done
    assert stack.state().unfinished
    stack.go()
    agents.start()
    wait_until(lambda: stack.state().succeeded, "the job ran again", seconds=20)
    assert (stack.runs, stack.state().unfinished) == (2, False)


def test_an_agent_that_is_stopped_ends_its_run_cleanly(stack: Jobs, agents: Agents) -> None:
    _due_once(stack, do="hang")
    agent, _ = agents.start()
    wait_until(lambda: len(stack.notes) == 2, "the job hangs", seconds=20)
    run = int(stack.notes[-1].split()[1])
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(10) == 0
    assert processes.look(run) is None
    assert not stack.half_done
    assert stack.state().unfinished


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_agent_stops_at_once(stack: Jobs, agents: Agents, number: signal.Signals) -> None:
    stack.put()
    agent, port = agents.start()
    assert get(port, "/live")[0] == 200
    agent.send_signal(number)
    assert agent.wait(5) == 0


def test_two_agents_never_work_for_one_stack(stack: Jobs, agents: Agents) -> None:
    stack.put()
    first, port = agents.start()
    second, none = agents.start()
    assert (second.wait(10), none) == (1, 0)
    assert first.poll() is None
    assert get(port, "/live")[0] == 200


def test_an_agent_whose_port_is_taken_says_so(stack: Jobs, agents: Agents) -> None:
    stack.put()
    _, port = agents.start()
    paths.private_directory(registry.directory("other-dev"))
    done = subprocess.run([*PROGRAM, "other-dev", "--port", str(port)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith(f"cannot listen on 127.0.0.1:{port}: Address already in use")


def test_a_stack_that_this_machine_does_not_have_is_one_sentence(agents: Agents) -> None:
    done = subprocess.run([*PROGRAM, "none-dev", "--port", "0"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == "stack none-dev has no directory on this machine; run `keelson up`\n"
    assert not agents.made


def test_jobs_that_come_and_go_are_noticed_within_seconds(stack: Jobs, agents: Agents) -> None:
    _, port = agents.start()
    assert _health(port)[1]["jobs"] == []
    stack.put()
    wait_until(lambda: len(_health(port)[1]["jobs"]) == 1, "the job is known", seconds=5)
    jobs.drop(KEY, "backup-notes")
    wait_until(lambda: not _health(port)[1]["jobs"], "the job is gone", seconds=5)


def test_a_failing_job_and_a_damaged_one_are_ill_health_but_no_dead_agent(stack: Jobs, agents: Agents) -> None:
    _due_once(stack, do="fail")
    jobs.directory(KEY).joinpath("backup-b.json").write_text("{")
    _, port = agents.start()
    wait_until(lambda: stack.state().error, "the job failed", seconds=20)
    wait_until(lambda: _job(port)["error"] == "the disk is full; make room", "health tells", seconds=5)
    status, page = _health(port)
    assert (status, page["well"]) == (503, False)
    assert "backup-b.json cannot be read" in page["faults"][0]
    assert get(port, "/live")[0] == 200


def test_metrics_tell_of_jobs_and_of_the_agent_itself(stack: Jobs, agents: Agents) -> None:
    _due_once(stack)
    _, port = agents.start()
    wait_until(lambda: stack.state().succeeded, "the job ran", seconds=20)
    wait_until(lambda: "keelson_job_last_success" in get(port, "/metrics")[1].decode(), "metrics tell", seconds=5)
    status, body = get(port, "/metrics")
    text = body.decode()
    assert status == 200
    assert 'keelson_job_failures{name="backup-notes"} 0.0' in text
    assert 'keelson_job_running{name="backup-notes"} 0.0' in text
    assert 'keelson_server_up{server="main"} 0.0' in text
    assert "process_resident_memory_bytes " in text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert all(family.documentation for family in families.values())
    assert families["keelson_database_commits"].type == "counter"


def test_parallel_scrapes_are_all_answered(stack: Jobs, agents: Agents) -> None:
    stack.put()
    _, port = agents.start()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: get(port, "/metrics" if n % 2 else "/health")[0], range(40)))
    assert set(answers) == {200}


def test_a_run_whose_agent_is_gone_before_it_can_ask_does_nothing(stack: Jobs) -> None:
    stack.put()
    done = subprocess.run([*program.RUN, KEY, "backup-notes", "--result", "1", "--parent", "1"], check=False)
    assert (done.returncode, stack.notes) == (1, [])


def test_two_runs_of_one_stack_wait_for_each_other(stack: Jobs) -> None:
    stack.put(do="hang")
    command = [*program.RUN, KEY, "backup-notes", "--result", "1", "--parent", str(os.getpid())]
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL) as first,
        subprocess.Popen(command, stdout=subprocess.DEVNULL) as second,
    ):
        wait_until(lambda: len(stack.notes) == 2, "one hangs", seconds=20)
        stack.go()
        assert (first.wait(20), second.wait(20)) == (0, 0)
    assert [note.split()[0] for note in stack.notes] == ["begun", "hangs", "ended", "begun", "hangs", "ended"]


def test_an_agent_on_a_full_disk_lives_on_and_says_so(stack: Jobs, home: Path) -> None:
    _due_once(stack)
    disk = home / "state"
    kept = home / "kept"
    disk.rename(kept)
    disk.mkdir()
    body = FULL_DISK.format(disk=disk, program=program.__file__, key=KEY, python=sys.executable)
    said = namespaces.run(f"mount -t tmpfs -o size=1m tmpfs {disk} && cp -r {kept}/. {disk}/", body)
    told = json.loads(said)
    assert "No space left on device" in told["full"]["faults"][0]
    assert (told["live"], told["empty"]) == (200, [])
    assert stack.runs == 1


FULL_DISK = """
import json, subprocess, time, http.client
from pathlib import Path

def get(path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())

def until(condition):
    end = time.monotonic() + 20
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return found

made = subprocess.Popen(["{python}", "{program}", "agent", "{key}", "--port", "0"], stdout=subprocess.PIPE, text=True)
try:
    filler = Path("{disk}/filler")
    with filler.open("wb", buffering=0) as file:
        try:
            while True: file.write(bytes(1024))
        except OSError: pass
    port = int(made.stdout.readline().rpartition(":")[2])
    until(lambda: get("/health")[1]["faults"])
    full = get("/health")[1]
    live = get("/live")[0]
    filler.unlink()
    until(lambda: not get("/health")[1]["faults"])
    print(json.dumps({{"full": full, "live": live, "empty": get("/health")[1]["faults"]}}))
finally:
    made.kill()
    made.wait()
"""


def test_a_state_that_was_written_before_a_kill_is_whole(stack: Jobs, agents: Agents) -> None:
    stack.now = time.time() - 86_400
    stack.put(schedule="* * * * *", do="hang")
    for number in range(1, 6):
        agent, _ = agents.start()
        wait_until(lambda number=number: stack.runs >= number, "a run began", seconds=20)
        agent.kill()
        agent.wait()
        assert json.loads((state.directory(KEY) / "backup-notes.json").read_text())["unfinished"]
