"""How long a stack in containers takes, beside docker-compose with the same images for the servers alone.

Usage: python -m bench.docker [--runs N]

Needs a Docker daemon (KEELSON_TEST_DOCKER_HOST, else one of the run's own) and Pulumi's Docker plugin, or the stand-in of the tests.
Prints a table in Markdown: medians over the runs, in seconds, of whole commands, with images present. A peer that is not installed is
left out, and the table says so.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from keelson.docker import images
from tests import daemon
from tests.conftest import SERVERS, WHOLE
from tests.stack.docker_stack import DockerStack
from tests.stack.harness import CHECKOUT

POLL = 0.1
PEERS = (["docker", "compose"], ["docker-compose"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    _print(daemon.host(), runs)  # a daemon of this run's own ends with this process


def _print(host: str, runs: int) -> None:
    measured: dict[str, list[float]] = {}
    for _ in range(runs):
        for step, seconds in (*_keelson(host, "ten databases", servers=SERVERS), *_keelson(host, "all parts", **WHOLE)):
            measured.setdefault(step, []).append(seconds)
        for step, seconds in _compose(host):
            measured.setdefault(step, []).append(seconds)
    print(f"medians of {runs} runs\n\n| in containers, images present | median (s) | worst |\n|---|---|---|")
    for step, values in measured.items():
        print(f"| {step} | {statistics.median(values):.2f} | {max(values):.2f} |")


def _keelson(host: str, what: str, **settings: object) -> Iterator[tuple[str, float]]:
    home = Path(tempfile.mkdtemp(prefix="keelson-bench-"))
    stack = DockerStack(home, host, **settings)
    try:
        shutil.copytree(CHECKOUT / "sql", stack.root / "sql", dirs_exist_ok=True)
        for image in images.NAMES:
            images.ensure(stack.client, image)
        yield f"keelson, {what}: nothing → answering", _timed(lambda: stack.keelson("up"))
        yield f"keelson, {what}: no-op `up`", _timed(lambda: stack.keelson("up"))
        yield f"keelson, {what}: `preview`", _timed(lambda: stack.keelson("preview"))
        yield f"keelson, {what}: `destroy`", _timed(lambda: stack.keelson("destroy", "--yes"))
    finally:
        stack.end()
        shutil.rmtree(home, ignore_errors=True)


def _compose(host: str) -> Iterator[tuple[str, float]]:
    """Two servers and a Redis, empty and without any database, as a compose file starts them."""
    command = next((peer for peer in PEERS if _works([*peer, "version"])), None)
    if command is None:
        yield "docker-compose: not installed", float("nan")
        return
    home = Path(tempfile.mkdtemp(prefix="keelson-bench-"))
    (home / "compose.yaml").write_text(yaml.safe_dump(_file()))

    def run(*arguments: str) -> None:
        variables = os.environ | {"DOCKER_HOST": host}
        compose = [*command, "--project-name", f"bench{os.getpid()}", "--file", str(home / "compose.yaml")]
        subprocess.run([*compose, *arguments], env=variables, check=True, capture_output=True)

    def up() -> None:
        run("up", "--detach")
        for service in ("main", "timescale"):
            _await(lambda each=service: run("exec", "-T", each, "pg_isready", "-q", "-h", "127.0.0.1"))  # type: ignore[misc]

    name = " ".join(command)
    try:
        yield f"{name}, servers alone, no database: nothing → answering", _timed(up)
        yield f"{name}: no-op `up`", _timed(lambda: run("up", "--detach"))
        yield f"{name}: `down --volumes`", _timed(lambda: run("down", "--volumes"))
    finally:
        run("down", "--volumes")
        shutil.rmtree(home, ignore_errors=True)


def _file() -> dict[str, object]:
    def server(image: str) -> dict[str, object]:
        return {
            "image": images.reference_of(image),
            "environment": {"POSTGRES_PASSWORD": secrets.token_hex(), "POSTGRES_INITDB_ARGS": "--data-checksums"},
            "volumes": [f"{image}:{images.traits(image).data}"],
            "networks": ["servers"],
        }

    names = {"main": "postgres", "timescale": "timescaledb"}
    services = {service: server(image) for service, image in names.items()}
    services["redis"] = {"image": images.reference_of("redis"), "networks": ["servers"]}
    return {
        "version": "3.8",
        "services": services,
        "volumes": dict.fromkeys(names.values()),
        "networks": {"servers": {}},
    }


def _await(call: Callable[[], None]) -> None:
    while True:
        try:
            call()
        except subprocess.CalledProcessError:
            time.sleep(POLL)
        else:
            return


def _works(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _timed(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


if __name__ == "__main__":
    main()
