"""`tools/cluster build|up|load|operator|down`: makes, fills and removes a real single-node Kubernetes for tests."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from keelson.errors import KeelsonError
from tools.kubernetes import build, cluster, operator, programs

if TYPE_CHECKING:
    from collections.abc import Callable


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/cluster", description="a real single-node Kubernetes for tests")
    verbs = parser.add_subparsers(dest="verb", required=True)
    level = verbs.add_parser("build", help="build the programs into the cache")
    level.add_argument("level", nargs="?", choices=(*programs.LEVELS, programs.LINTERS), default="node")
    up = verbs.add_parser("up", help="start a cluster and print where its kubeconfig lies")
    up.add_argument("--level", choices=("api", "node"), default="node", help="api: no node, so no pod ever runs")
    up.add_argument("--until", type=int, metavar="PID", help="remove the cluster when this process has ended")
    load = verbs.add_parser("load", help="import archives of `docker save`")
    load.add_argument("archives", nargs="+", type=Path, metavar="ARCHIVE")
    load.add_argument("--as", dest="alias", metavar="NAME", help="one more name for them, with any tag or digest")
    operated = verbs.add_parser("operator", help="install CloudNativePG, and wait until it answers")
    down = verbs.add_parser("down", help="end a cluster and remove all of it")
    for each in (up, load, operated, down):
        each.add_argument("--directory", type=Path, required=True, help="where the cluster's files lie")
    return parser.parse_args()


def _up(given: argparse.Namespace) -> None:
    print(cluster.up(given.directory, given.level, given.until))


def _load(given: argparse.Namespace) -> None:
    for name in cluster.load(given.directory, given.archives, given.alias):
        print(name)


VERBS: dict[str, Callable[[argparse.Namespace], object]] = {
    "build": lambda given: build.ensure(given.level),
    "up": _up,
    "load": _load,
    "operator": lambda given: operator.install(given.directory),
    "down": lambda given: cluster.down(given.directory),
}


def main() -> int:
    """Do what was asked for; return the exit code."""
    given = _arguments()
    try:
        VERBS[given.verb](given)
    except KeelsonError as fault:
        print(f"keelson: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nkeelson: interrupted", file=sys.stderr)
        return 130
    return 0


sys.exit(main())
