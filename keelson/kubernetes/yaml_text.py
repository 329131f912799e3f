"""Objects as YAML that reads the same to every parser: one order, one form, and no text that could be taken for anything else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

FIRST = ("apiVersion", "kind", "metadata")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]+")  # all else is quoted: `y`, 1e3 and 0o440 are not texts to every parser


def text_of(value: Mapping[str, Any]) -> str:
    """Return an object as YAML, with what it is at its beginning."""
    ordered = {key: value[key] for key in sorted(value, key=lambda key: (*_rank(key), key))}
    return "".join(
        yaml.dump({key: item}, Dumper=_Dumper, sort_keys=True, allow_unicode=False, width=10_000)
        for key, item in ordered.items()
    )


def _rank(key: str) -> tuple[int]:
    return (FIRST.index(key) if key in FIRST else len(FIRST),)


class _Dumper(yaml.SafeDumper):
    """Lists stand in as far as their contents; nothing is said once and meant twice."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002, ARG002 - as it is called
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - as it is called
        return True


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    if "\n" in text and not re.search(r"[ \t]\n|[^\n\t -~]", text):
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")
    style = None if _PLAIN.fullmatch(text) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _string)
