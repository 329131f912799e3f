"""How long a stack takes, from nothing to nothing, and what it costs by number of services.

Usage: python -m bench.stack [--runs N] [--services 1,10,100,300]

Prints tables in Markdown: medians over the runs, in seconds, of whole commands (interpreter, engine and preview
included), with caches warm; and idle memory.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.machine import load, machine
from keelson.local import processes
from tests.conftest import WHOLE
from tests.stack.harness import CHECKOUT, NOTES, StackUnderTest

SETTLED = 5.0  # seconds after which a server without clients is idle
POLL = 0.2


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--services", default="1,10,100,300")
    arguments = parser.parse_args()
    print(f"{machine()}; load average {load()}; medians of {arguments.runs} runs\n")
    _print_shipped(arguments.runs)
    _print_scale([int(number) for number in arguments.services.split(",")])


def _print_shipped(runs: int) -> None:
    measured: dict[str, list[float]] = {}
    for _ in range(runs):
        with _shipped() as stack:
            for step, figure in _steps(stack):
                measured.setdefault(step, []).append(figure)
    print("| the whole stack: ten databases, Redis, pgAdmin, agent | median | worst |\n|---|---|---|")
    for step, values in measured.items():
        print(f"| {step} | {statistics.median(values):.2f} | {max(values):.2f} |")


def _steps(stack: StackUnderTest) -> Iterator[tuple[str, float]]:
    began = time.monotonic()
    yield "nothing → ten databases migrated, seeded, answering (s)", _timed(lambda: stack.keelson("up"))
    _await_health(stack)
    yield "nothing → all parts healthy (s)", time.monotonic() - began
    yield "no-op `up` (s)", _timed(lambda: stack.keelson("up"))
    yield "`preview` (s)", _timed(lambda: stack.keelson("preview"))
    yield "`status` (s)", statistics.median(_timed(lambda: stack.keelson("status")) for _ in range(5))
    yield "`backup run --all` (s)", _timed(lambda: stack.keelson("backup", "run", "--all"))
    time.sleep(SETTLED)
    for part, figure in _memory(stack).items():
        yield f"idle memory of {part}, PSS (MB)", figure / 1e6
    yield "`destroy` (s)", _timed(lambda: stack.keelson("destroy", "--yes"))


def _print_scale(numbers: list[int]) -> None:
    print("\n| services | first `up` (s) | per service | no-op `up` (s) | per service |\n|---|---|---|---|---|")
    for number in numbers:
        with _stack() as stack:
            for index in range(number):
                stack.write_service(f"service_{index:03d}", NOTES)
            first, again = _timed(lambda: stack.keelson("up", timeout=3600)), _timed(lambda: stack.keelson("up"))
            print(f"| {number} | {first:.1f} | {first / number:.2f} | {again:.1f} | {again / number:.3f} |", flush=True)


@contextmanager
def _stack(**settings: object) -> Iterator[StackUnderTest]:
    home = Path(tempfile.mkdtemp(prefix="keelson-bench-"))
    stack = StackUnderTest(home, settings=settings)
    try:
        yield stack
    finally:
        stack.end()
        shutil.rmtree(home)


@contextmanager
def _shipped() -> Iterator[StackUnderTest]:
    with _stack(**WHOLE) as stack:
        shutil.copytree(CHECKOUT / "sql", stack.root / "sql", dirs_exist_ok=True)
        yield stack


def _await_health(stack: StackUnderTest) -> None:
    while any(
        not part["answering"] for part in json.loads(stack.keelson("status", "--json", check=False).stdout)["parts"]
    ):
        time.sleep(POLL)


def _memory(stack: StackUnderTest) -> dict[str, float]:
    """Return the proportional set size by part, in bytes."""
    found = {"both PostgreSQL servers": 0.0, "pgAdmin": 0.0, "all but pgAdmin": 0.0}
    for pid, command in stack.processes().items():
        memory = process.memory if (process := processes.look(pid)) else 0
        found["pgAdmin" if "pgadmin" in command else "all but pgAdmin"] += memory
        if Path(command.split(" ")[0]).name.startswith("postgres"):
            found["both PostgreSQL servers"] += memory
    return found


def _timed(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


if __name__ == "__main__":
    main()
