"""The lines that the architecture draws: imports point one way, and importing registers nothing."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pulumi
import pytest
from pulumi.dynamic.dynamic import serialize_provider

import providers
from keelson.docker.images import recipes
from providers.base import Managed, Provider

CHECKOUT = Path(__file__).resolve().parents[1]
LAYERS = ["__main__", "components", "providers", "keelson"]
ENGINE_PACKAGES = {"pulumi", "pulumi_docker", "pulumi_kubernetes"}


def _sources() -> list[Path]:
    return [
        CHECKOUT / "__main__.py",
        *(path for layer in LAYERS[1:] for path in sorted((CHECKOUT / layer).rglob("*.py"))),
    ]


def _imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def _imported_of_ours(path: Path) -> set[str]:
    """The packages and modules right below `keelson` that a module imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "keelson":
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("keelson."):
            names.add(node.module.split(".")[1])
    return names


def _provider_classes() -> list[type[Provider]]:
    for module in pkgutil.iter_modules(providers.__path__):
        importlib.import_module(f"providers.{module.name}")
    return sorted(_below(Provider), key=lambda kind: kind.__name__)


def _below(kind: type[Provider]) -> set[type[Provider]]:
    return {each for below in kind.__subclasses__() for each in (below, *_below(below))}


@pytest.mark.parametrize("path", _sources(), ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_imports_point_to_the_library(path: Path) -> None:
    layer = path.relative_to(CHECKOUT).parts[0].removesuffix(".py")
    forbidden = set(LAYERS[: LAYERS.index(layer)]) | (ENGINE_PACKAGES if layer == "keelson" else set())
    assert not _imported(path) & forbidden


def test_what_pgadmin_imports_is_in_its_image() -> None:
    there = {Path(name).stem for name in recipes.SOURCES_OF_PGADMIN}
    sources = [CHECKOUT / "keelson" / name for name in recipes.SOURCES_OF_PGADMIN]
    files = [file for path in sources for file in ([path] if path.is_file() else path.rglob("*.py"))]
    inside = [file for file in files if file.name != "stack.py"]  # which is for the target local alone
    assert set().union(*map(_imported_of_ours, inside)) <= there


def test_importing_components_and_providers_registers_nothing() -> None:
    script = (
        "import pulumi, pkgutil, importlib, components, providers\n"
        "def refuse(*a, **k): raise SystemExit('registered a resource')\n"
        "pulumi.Resource.__init__ = refuse\n"
        "for package in (components, providers):\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(module.name)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=CHECKOUT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_command_line_starts_without_the_engine_sdk() -> None:
    script = "import sys, keelson.cli; sys.exit(any(name.split('.')[0] == 'pulumi' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", script], check=False, cwd=CHECKOUT).returncode == 0


@pytest.mark.parametrize("kind", _provider_classes(), ids=lambda kind: kind.__name__)
def test_a_provider_is_stored_by_reference(kind: type[Provider]) -> None:
    assert len(serialize_provider(kind())) < 200


def test_every_resource_has_a_type_of_its_own() -> None:
    _provider_classes()
    types = [kind._resource_type_name for kind in Managed.__subclasses__()]
    assert len(set(types)) == len(types)
    assert all(name.startswith("dynamic/keelson:") for name in types)


def test_components_are_resources_of_this_project() -> None:
    importlib.import_module("components.platform")
    own = [kind for kind in pulumi.ComponentResource.__subclasses__() if kind.__module__.startswith("components.")]
    assert {kind.__name__ for kind in own} >= {"Platform", "Server", "ServiceDatabase"}


def test_no_module_needs_itself_to_be_imported() -> None:
    """Providers run in several threads: two that import a circle from two sides see half of it."""
    modules = _modules()
    needed = {name: _needed(name, path) & modules.keys() for name, path in modules.items()}
    circles = [name for name in needed if name in _reached(needed, name)]
    assert circles == []


def _modules() -> dict[str, Path]:
    found = {}
    for path in _sources()[1:]:
        parts = path.relative_to(CHECKOUT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def _needed(name: str, path: Path) -> set[str]:
    """Return the modules that are imported while a module is, and the packages that these are in and it is not."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {node.module, *below}
    packages = {".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 1)}
    outside = {package for package in packages if not f"{name}.".startswith(f"{package}.")}
    return (names | outside) - {name}


def _reached(needed: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(needed[start])
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += needed[name]
    return seen
