"""The files of reports: one SELECT each; its first comment line says what it shows.

Further comment lines at its head say what it needs: `-- Extension: timescaledb`, `-- Edition: community`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from keelson.errors import SettingsError

Kind = Literal["built-in", "query", "check"]
BUILT_IN: Kind = "built-in"
QUERY: Kind = "query"
CHECK: Kind = "check"

_NEED = re.compile(r"(?P<key>Extension|Edition): *(?P<value>\w+)")


@dataclass(frozen=True)
class Report:
    """One report.

    Attributes:
        name: what it is called by: its file's name.
        kind: that it comes with Keelson, or is a service's query or check.
        service: whose it is; empty where it fits every service.
        description: what it shows, in one line.
        needs: an extension or an edition of TimescaleDB without which it cannot run.
        path: its file.
    """

    name: str
    kind: Kind
    service: str
    description: str
    needs: Mapping[str, str] = field(default_factory=dict)
    path: Path = field(default=Path(), compare=False)

    def text(self) -> str:
        """Return the SELECT, with its comments."""
        return _read(self.path)


def built_in() -> tuple[Report, ...]:
    """Return the reports that come with Keelson, which fit every database."""
    return tuple(_report(path, BUILT_IN, "") for path in _files(Path(__file__).parent / "sql"))


def of_service(service: str, folder: Path) -> tuple[Report, ...]:
    """Return the queries and checks of a service, which lie in its `folder`."""
    queries = (_report(path, QUERY, service) for path in _files(folder / "queries"))
    checks = (_report(path, CHECK, service) for path in _files(folder / "checks"))
    return (*queries, *checks)


def find(name: str, reports: Iterable[Report]) -> tuple[Report, ...]:
    """Return the reports that are called `name`, be it written with `-` or `_`.

    Raises:
        SettingsError: there is none; it names the nearest.
    """
    known = {report.name: report for report in reports}
    found = tuple(report for report in reports if _plain(report.name) == _plain(name))
    exact = tuple(report for report in found if report.name == name)
    if found:
        return exact or found
    near = difflib.get_close_matches(_plain(name), {_plain(each): each for each in known}, n=1)
    meant = next((each for each in known if near and _plain(each) == near[0]), "")
    step = f"did you mean {meant}?" if meant else "`keelson report` lists them"
    msg = f"there is no report {name!r}; {step}"
    raise SettingsError(msg)


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.sql"))


def _report(path: Path, kind: Kind, service: str) -> Report:
    lines = [line.removeprefix("--").strip() for line in _head(_read(path))]
    needs = {match["key"]: match["value"] for line in lines if (match := _NEED.fullmatch(line))}
    description = next((line for line in lines if not _NEED.fullmatch(line)), path.stem.replace("_", " "))
    return Report(path.stem, kind, service, description, needs, path)


def _head(text: str) -> Iterable[str]:
    for line in text.splitlines():
        if not line.startswith("--"):
            return
        yield line


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        msg = f"the report {path} cannot be read ({fault}); give access, or save it as UTF-8"
        raise SettingsError(msg) from None
