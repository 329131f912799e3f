from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import docker
import docker.errors
import grpc
import pytest

from tests.plugins.conftest import Bench
from tests.plugins.process import OFFICIAL, PLUGIN, Bag, DockerPlugin, bag, left_behind
from tests.stack.harness import CHECKOUT, wait_until

pytestmark = pytest.mark.docker

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SERVER = ("python3", "-m", "http.server", "80", "-d", "/srv")
HEALTHY = {"tests": ["CMD", "true"], "interval": "1s"}


@pytest.mark.parametrize(
    ("inputs", "place", "words"),
    [
        ({"privilege": True}, "privilege", "unknown key"),
        ({"ports": [{"internal": 1, "host": "::1"}]}, "ports[0].host", "unknown key"),
        ({"healthcheck": {"tests": ["NONE"], "pause": "1s"}}, "healthcheck.pause", "unknown key"),
        ({"ports": [{"external": 1}]}, "ports[0].internal", "Missing required argument"),
        ({"image": None}, "image", "Missing required argument"),
        ({"ports": [{"internal": {}}]}, "ports[0].internal", ""),
        ({"privileged": "yes"}, "privileged", ""),
        ({"restart": "sometimes"}, "restart", "doesn't match the pattern"),
        ({"healthcheck": {"tests": ["NONE"], "interval": "soon"}}, "healthcheck.interval", "'soon'"),
    ],
)
def test_what_the_sdk_does_not_know_is_refused_by_its_place(plugin: DockerPlugin, inputs: Bag, place: str, words: str):
    given = {key: value for key, value in ({"image": "x"} | inputs).items() if value is not None}
    faults = plugin.check("container", given)[1]
    assert set(faults) == {place}
    assert words in faults[place]


def test_a_value_that_is_not_known_yet_is_no_fault(plugin: DockerPlugin):
    inputs, faults = plugin.check("container", {"image": UNKNOWN, "networksAdvanced": [{"name": UNKNOWN}]})
    assert not faults
    assert inputs["image"] == UNKNOWN


def test_the_official_defaults_are_filled_in(plugin: DockerPlugin):
    given = {"image": "x", "name": "n", "ports": [{"internal": 80}], "healthcheck": {"tests": ["NONE"]}}
    inputs = plugin.checked("container", given)
    for each in (inputs, inputs["ports"][0], inputs["healthcheck"]):
        each.pop("__defaults", None)
    zeros = dict.fromkeys(("interval", "timeout", "startPeriod", "startInterval"), "0s")
    assert inputs == {
        **given,
        "containerReadRefreshTimeoutMilliseconds": 15000,
        "healthcheck": {"tests": ["NONE"], **zeros},
        "mustRun": True,
        "networkMode": "bridge",
        "ports": [{"internal": 80, "ip": "0.0.0.0", "protocol": "tcp"}],  # noqa: S104
        "removeVolumes": True,
        "restart": "no",
        "start": True,
        "waitTimeout": 60,
    }


@pytest.mark.parametrize("kind", ["container", "network", "volume"])
def test_a_name_is_made_once_where_none_is_given(plugin: DockerPlugin, kind: str):
    given = {"image": "x"} if kind == "container" else {}
    first = plugin.checked(kind, given)
    assert first["name"].startswith("it-")
    assert plugin.check(kind, given, olds=first)[0]["name"] == first["name"]


@pytest.fixture(scope="module")
def existing(plugin: DockerPlugin, api: docker.APIClient, image: str):
    """A container that is there, whose state and inputs a diff may compare: its id, state and inputs."""
    labels = [{"label": "a", "value": "1"}, {"label": "b", "value": "2"}]
    ports = [{"internal": 53, "ip": "127.0.0.1"}, {"internal": 80, "ip": "127.0.0.1"}]
    bench = Bench(plugin, api, image, f"plugin-{secrets.token_hex(4)}")
    try:
        bench.make("network", {"name": bench.name("n")})
        more = {"envs": ["A=1", "B=2"], "labels": labels, "ports": ports, "user": "0:0", "networkMode": bench.name("n")}
        yield bench.make("container", bench.container("sleep", "300", **more))
    finally:
        bench.end()


@pytest.mark.parametrize(
    ("change", "replaces"),
    [
        ({"image": "sha256:2"}, True),
        ({"image": UNKNOWN}, True),
        ({"command": ["sleep", "1"]}, True),
        ({"envs": ["A=1"]}, True),
        ({"user": "1:1"}, True),
        ({"hostname": "other"}, True),
        ({"networksAdvanced": [{"name": "a"}]}, True),
        ({"uploads": [{"file": "/a", "content": "b"}]}, True),
        ({"cpus": "1.5"}, True),
        ({"restart": "always"}, False),
        ({"memory": 64}, False),
        ({"cpuSet": "0"}, False),
        ({"healthcheck": HEALTHY}, False),
        ({"tmpfs": {"/tmp": ""}}, False),  # noqa: S108
        ({"destroyGraceSeconds": 3}, False),
        ({"wait": True}, False),
    ],
)
def test_what_replaces_a_container_and_what_does_not(plugin: DockerPlugin, existing, change: Bag, *, replaces: bool):
    identity, state, inputs = existing
    reply = plugin.diff("container", identity, state, plugin.checked("container", {**inputs, **change}))
    assert reply.changes == reply.DIFF_SOME
    assert {*reply.diffs} == {*change}
    assert (bool(reply.replaces), reply.deleteBeforeReplace) == (replaces, replaces)


def test_the_order_of_a_set_and_what_is_left_to_the_daemon_are_no_change(plugin: DockerPlugin, existing):
    identity, state, inputs = existing
    other = {"envs": inputs["envs"][::-1], "labels": inputs["labels"][::-1]}
    less = {key: value for key, value in inputs.items() if key not in {"envs", "user"}}
    for news in (inputs, {**inputs, **other}, less):
        reply = plugin.diff("container", identity, state, plugin.checked("container", news))
        assert reply.changes == reply.DIFF_NONE


def test_ports_that_are_not_in_the_order_of_their_numbers_replace_for_ever(plugin: DockerPlugin, existing):
    identity, state, inputs = existing
    reply = plugin.diff("container", identity, state, {**inputs, "ports": inputs["ports"][::-1]})
    assert set(reply.replaces) == {"ports"}


@pytest.mark.parametrize(("name", "first"), [({"name": "{mark}-n"}, True), ({}, False)])
def test_a_network_of_a_fixed_name_is_deleted_before_it_is_replaced(bench: Bench, name: Bag, *, first: bool):
    given = {key: value.format(mark=bench.mark) for key, value in name.items()}
    identity, state, inputs = bench.make("network", given)
    try:
        reply = bench.plugin.diff("network", identity, state, {**inputs, "internal": True})
        assert set(reply.replaces) == {"internal"}
        assert reply.deleteBeforeReplace is first
    finally:
        bench.plugin.delete("network", identity, state)


def test_a_daemon_that_does_not_answer_is_refused_at_once_by_a_preview_too():
    with pytest.raises(grpc.RpcError, match="failed to connect to any docker daemon"):
        DockerPlugin("unix:///nowhere/docker.sock")


def test_a_preview_says_what_it_cannot_know(plugin: DockerPlugin):
    inputs = plugin.checked("container", {"name": "n", "image": UNKNOWN})
    _, outputs = plugin.create("container", inputs, preview=True)
    assert {outputs[key] for key in ("networkDatas", "image", "hostname", "id")} == {UNKNOWN}
    assert (outputs["networkMode"], outputs["attach"], outputs["memory"]) == ("bridge", False, None)


def test_networks_a_volume_and_a_container_come_and_go(bench: Bench):
    inside = bench.make("network", {"name": bench.name("inside"), "internal": True})
    closed = {
        "com.docker.network.bridge.enable_icc": "false",
        "com.docker.network.bridge.enable_ip_masquerade": "false",
    }
    ports = bench.make("network", {"name": bench.name("ports"), "options": closed})
    volume = bench.make("volume", {"name": bench.name("v"), "labels": [{"label": "a", "value": "b"}]})
    inputs = bench.container(
        *SERVER,
        mounts=[{"type": "volume", "source": bench.name("v"), "target": "/srv"}],
        networksAdvanced=[
            {"name": bench.name("inside"), "aliases": ["main"]},
            {"name": bench.name("ports")},
        ],
        ports=[{"internal": 80, "ip": "127.0.0.1"}],
        uploads=[{"file": "/srv/page", "content": "hello", "permissions": "0400"}],
        healthcheck={**HEALTHY, "tests": ["CMD", "test", "-r", "/srv/page"]},
        labels=[{"label": "keelson.part", "value": "main"}],
        capabilities={"drops": ["ALL"], "adds": ["CAP_NET_BIND_SERVICE"]},
        securityOpts=["no-new-privileges:true"],
        tmpfs={"/tmp": "size=1m"},  # noqa: S108
        memory=64,
        memorySwap=64,
        wait=True,
    )
    identity, outputs, checked = bench.make("container", inputs)
    assert outputs["id"] == identity
    addresses = {each["networkName"]: each["ipAddress"] for each in outputs["networkDatas"]}
    assert set(addresses) == {bench.name("inside"), bench.name("ports")}
    assert all(addresses.values())
    networks = bench.api.inspect_container(identity)["NetworkSettings"]["Networks"]
    assert "main" in networks[bench.name("inside")]["Aliases"]
    port = int(outputs["ports"][0]["external"])
    assert urllib.request.urlopen(f"http://127.0.0.1:{port}/page", timeout=10).read() == b"hello"

    for kind, (number, state, given) in {
        "container": (identity, outputs, checked),
        "network": inside,
        "volume": volume,
    }.items():
        assert bench.plugin.diff(kind, number, state, given).changes == 1
        found, seen, kept = bench.plugin.read(kind, number, state, given)
        assert found == number
        assert bench.plugin.diff(kind, number, seen, kept).changes == 1

    bench.plugin.delete("container", identity, outputs)
    for kind, (number, state, _) in (("network", inside), ("network", ports), ("volume", volume)):
        bench.plugin.delete(kind, number, state)
    for kind, (number, state, given) in {
        "container": (identity, outputs, checked),
        "network": inside,
        "volume": volume,
    }.items():
        assert bench.plugin.read(kind, number, state, given)[0] == ""
        bench.plugin.delete(kind, number, state)


def test_limits_and_restart_policy_are_applied_and_a_health_check_is_not(bench: Bench):
    identity, state, inputs = bench.make("container", bench.container("sleep", "60", memory=32, memorySwap=32))
    news = {**inputs, "memory": 64, "memorySwap": 64, "restart": "unless-stopped", "healthcheck": HEALTHY}
    assert not bench.plugin.diff("container", identity, state, news).replaces
    state = bench.plugin.update("container", identity, state, news)
    assert (state["memory"], state["restart"]) == (64, "unless-stopped")
    found = bench.api.inspect_container(identity)
    assert found["HostConfig"]["Memory"] == 64 * 1024**2
    assert found["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert not found["Config"].get("Healthcheck")


def test_a_duration_comes_back_as_go_writes_it(bench: Bench):
    """So sixty seconds written as 60s are a change for ever."""
    check = {"tests": ["CMD", "true"], "interval": "60s", "timeout": "1500ms"}
    identity, state, inputs = bench.make("container", bench.container("sleep", "60", healthcheck=check))
    assert (state["healthcheck"]["interval"], state["healthcheck"]["timeout"]) == ("1m0s", "1.5s")
    reply = bench.plugin.diff("container", identity, state, inputs)
    assert reply.changes == reply.DIFF_SOME
    assert not reply.replaces


def test_memory_without_swap_is_a_change_for_ever(bench: Bench):
    identity, state, inputs = bench.make("container", bench.container("sleep", "60", memory=32))
    assert list(bench.plugin.diff("container", identity, state, inputs).diffs) == ["memorySwap"]


def test_a_container_that_ended_is_started_by_the_next_update(bench: Bench):
    identity, state, inputs = bench.make("container", bench.container("sleep", "60"))
    bench.api.kill(identity)
    _, state, kept = bench.plugin.read("container", identity, state, inputs)
    assert (state["mustRun"], state["exitCode"]) == (False, 137)
    assert kept["mustRun"] is False
    assert list(bench.plugin.diff("container", identity, state, inputs).diffs) == ["mustRun"]
    bench.plugin.update("container", identity, state, inputs)
    assert bench.api.inspect_container(identity)["State"]["Running"]


@pytest.mark.parametrize(("more", "replaces"), [({}, {"entrypoints"}), ({"entrypoints": ["/usr/bin/env"]}, set())])
def test_a_container_that_does_not_start_stays_and_is_replaced_unless_it_names_command_and_entrypoint(
    bench: Bench, more: Bag, replaces: set[str]
):
    inputs = bench.plugin.checked("container", bench.container("x", name="c", workingDir="/no", user="no:no", **more))
    with pytest.raises(grpc.RpcError, match="Unable to start container") as raised:
        bench.plugin.create("container", inputs)
    details = left_behind(raised.value)
    assert details
    assert bench.api.inspect_container(details.id)["State"]["Status"] == "created"
    reply = bench.plugin.diff("container", details.id, bag(details.properties), inputs)
    assert (set(reply.diffs), set(reply.replaces)) == ({"networkDatas", *replaces}, replaces)


def test_waiting_for_health_ends_with_a_sentence(bench: Bench):
    sick = {"tests": ["CMD", "false"], "interval": "1s", "retries": 1}
    for check, words in (({}, "does not have a healthcheck"), ({"healthcheck": sick}, "failed to be in healthy state")):
        inputs = bench.container("sleep", "60", name=f"c{len(check)}", wait=True, waitTimeout=2, **check)
        with pytest.raises(grpc.RpcError, match=words) as raised:
            bench.plugin.create("container", bench.plugin.checked("container", inputs))
        assert left_behind(raised.value)


def test_an_image_that_is_nowhere_is_named(bench: Bench):
    inputs = bench.plugin.checked("container", {"name": bench.name("c"), "image": "localhost:1/no/such:1"})
    with pytest.raises(grpc.RpcError, match="localhost:1/no/such:1"):
        bench.plugin.create("container", inputs)


def test_an_image_that_is_here_is_found_without_a_registry(bench: Bench):
    identity, state, inputs = bench.make("image", {"name": bench.image, "keepLocally": True})
    known = bench.api.inspect_image(bench.image)["Id"]
    assert (identity, state["imageId"]) == (f"{known}{bench.image}", known)
    assert bench.plugin.diff("image", identity, state, inputs).changes == 1
    bench.plugin.delete("image", identity, state)
    assert bench.api.inspect_image(bench.image)["Id"] == known


@pytest.mark.skipif(bool(OFFICIAL), reason="the official plugin waits 30 s")
def test_what_is_in_use_is_not_deleted(bench: Bench):
    volume = bench.make("volume", {"name": bench.name("v")})
    network = bench.make("network", {"name": bench.name("n")})
    mounts = [{"type": "volume", "source": bench.name("v"), "target": "/v"}]
    inputs = bench.container("sleep", "60", mounts=mounts, networksAdvanced=[{"name": bench.name("n")}])
    bench.make("container", inputs)
    with pytest.raises(grpc.RpcError, match="volume is in use"):
        bench.plugin.delete("volume", *volume[:2])
    with pytest.raises(grpc.RpcError, match="has active endpoints"):
        bench.plugin.delete("network", *network[:2])


@pytest.mark.parametrize(("grace", "said"), [({"destroyGraceSeconds": 10}, True), ({"stopTimeout": 10}, False)])
def test_only_a_grace_lets_a_program_end_by_itself(bench: Bench, grace: Bag, *, said: bool):
    bench.make("volume", {"name": bench.name("v")})
    mounts = [{"type": "volume", "source": bench.name("v"), "target": "/v"}]
    script = "trap 'sleep 0.3; touch /v/bye; exit' TERM; touch /v/ready; while :; do sleep 0.05; done"
    identity, state, _ = bench.make("container", bench.container("sh", "-c", script, mounts=mounts, **grace))
    wait_until(lambda: _is_in(bench, identity, "/v/ready"), "the program runs")
    bench.plugin.delete("container", identity, state)
    looker = bench.make("container", bench.container("sleep", "60", name="looker", mounts=mounts))[0]
    assert _is_in(bench, looker, "/v/bye") is said


def _is_in(bench: Bench, container: str, path: str) -> bool:
    try:
        bench.api.get_archive(container, path)[0].close()
    except docker.errors.NotFound:
        return False
    return True


@pytest.mark.skipif(bool(OFFICIAL), reason="the engine ends the official plugin")
def test_it_ends_when_nobody_reads_its_output(docker_host: str):
    with DockerPlugin(docker_host) as plugin:
        assert plugin.process.stdout
        plugin.process.stdout.close()
        assert plugin.process.wait(20) in {0, 1}


PROGRAM = """
import pulumi, pulumi_docker as docker
mark, image = pulumi.Config().require("mark"), pulumi.Config().require("image")
network = docker.Network("network", name=f"{mark}-n", internal=True)
container = docker.Container(
    "container", name=f"{mark}-c", image=image, command=["sleep", "60"],
    envs=[pulumi.Output.secret("WORD=hush-hush")],
    mounts=[docker.ContainerMountArgs(type="bind", source="/usr", target="/usr", read_only=True)],
    networks_advanced=[docker.ContainerNetworksAdvancedArgs(name=network.name, aliases=["main"])],
)
pulumi.export("address", container.network_datas[0].ip_address)
"""


@pytest.fixture
def pulumi(bench: Bench, docker_host: str, tmp_path: Path):
    """Run the engine on a small program of its own, with a backend in a folder."""
    (tmp_path / "Pulumi.yaml").write_text("name: small\nruntime: python\n")
    (tmp_path / "__main__.py").write_text(PROGRAM)
    home = {"PULUMI_BACKEND_URL": f"file://{tmp_path}", "PULUMI_HOME": str(tmp_path / "home")}
    words = {"PULUMI_CONFIG_PASSPHRASE": "a test's own", "PULUMI_SKIP_UPDATE_CHECK": "true", "DOCKER_HOST": docker_host}
    path = os.pathsep.join([str(Path(PLUGIN).parent), str(Path(sys.executable).parent), os.environ["PATH"]])

    def run(*arguments: str) -> str:
        command = ["pulumi", *arguments, "--non-interactive", "--stack", "small"]
        environment = os.environ | home | words | {"PATH": path}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert not done.returncode, done.stdout + done.stderr
        return done.stdout

    run("stack", "init")
    run("config", "set", "mark", bench.mark)
    run("config", "set", "image", bench.image)
    return run


@pytest.mark.skipif(not shutil.which("pulumi"), reason="no engine on PATH")
def test_the_engine_brings_a_stack_up_and_down_with_it(bench: Bench, pulumi):
    pulumi("up", "--yes", "--skip-preview")
    assert pulumi("stack", "output", "address").strip()
    assert "hush-hush" not in pulumi("stack", "export")
    pulumi("preview", "--expect-no-changes")
    bench.api.remove_container(bench.name("c"), force=True)
    pulumi("refresh", "--yes", "--skip-preview")
    resources = json.loads(pulumi("stack", "export"))["deployment"]["resources"]
    assert not [each for each in resources if each["type"].endswith("Container")]
    pulumi("destroy", "--yes", "--skip-preview")
    assert not bench.api.networks(filters={"name": bench.mark})


def test_the_product_does_not_know_it():
    sources = [path for folder in ("keelson", "components", "providers") for path in (CHECKOUT / folder).rglob("*.py")]
    assert sources
    assert not [path for path in sources if "docker_plugin" in path.read_text()]
