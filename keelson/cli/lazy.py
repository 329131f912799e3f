"""Commands that are imported when they are called: what a command does not need costs its start nothing."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import typer
from typer._click.core import Command
from typer._coercion import RuntimeParam, build_runtime_param
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

_TEXTS = (str, Path)
_AS_GIVEN = (*_TEXTS, bool, int, float)
_PLAIN: dict[str, Any] = {"add_completion": False, "pretty_exceptions_enable": False, "rich_markup_mode": None}


@dataclass(frozen=True)
class Group:
    """Commands under one word.

    Attributes:
        help: What they are for.
        commands: By name, in the order of the help: a group, or `module:function` below keelson.cli.
    """

    help: str
    commands: Mapping[str, str | Group]


class Deferred(TyperCommand):
    """A command of which no more than name and help are known until it is called."""

    def __init__(self, name: str, where: str) -> None:
        super().__init__(name)
        self._module, _, self._function = f"keelson.cli.{where}".partition(":")

    def load(self) -> TyperCommand:
        """Import the command."""
        application = typer.Typer(**_PLAIN)
        application.command(self.name, cls=_Command)(getattr(importlib.import_module(self._module), self._function))
        command = typer.main.get_command(application)
        assert isinstance(command, TyperCommand)  # noqa: S101 - of a single function Typer makes nothing else
        return command

    def make_context(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - Typer's own
        """Return the context of the command itself, whose import is due now."""
        return self.load().make_context(*arguments, **options)

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return how the command's docstring begins, as it stands in the source."""
        spec = find_spec(self._module)
        text = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
        found = re.search(rf'^def {self._function}\(.*?"""(.*?)"""', text, re.DOTALL | re.MULTILINE)
        return TyperCommand(self.name, help=inspect.cleandoc(found[1] if found else "")).get_short_help_str(limit)


def assemble(group: Group, *, completion: bool = False) -> typer.Typer:
    """Return the application that the group describes; `completion` adds the options that install it for the shell."""
    settings = _PLAIN | {"add_completion": completion}
    kind = type("Commands", (_Commands,), {"group": group})
    application = typer.Typer(cls=kind, help=group.help, no_args_is_help=True, callback=_nothing, **settings)
    for name, entry in group.commands.items():
        if isinstance(entry, Group):
            application.add_typer(assemble(entry), name=name)
    return application


class _Frugal(Command):
    """A command whose texts, paths and flags are read without pydantic, whose import takes longer than most commands."""

    def get_params(self, ctx: Any) -> Any:  # noqa: ANN401 - Typer's own
        """Return the parameters, that for the help included."""
        found = super().get_params(ctx)
        for each in found:
            if isinstance(each, TyperArgument | TyperOption) and each.type_descriptor.annotation in _AS_GIVEN:
                each._runtime_param = _AsGiven(each.type_descriptor.parameter_info, each.type_descriptor.annotation)  # noqa: SLF001
        return found


class _Command(_Frugal, TyperCommand):
    """One command."""


class _Commands(_Frugal, TyperGroup):
    """The commands of one group."""

    group: ClassVar[Group]

    def __init__(self, *, commands: Mapping[str, Any], **options: Any) -> None:  # noqa: ANN401 - Typer's own
        described = self.group.commands.items()
        found = {name: Deferred(name, each) if isinstance(each, str) else commands[name] for name, each in described}
        super().__init__(commands=found, **options)


class _AsGiven(RuntimeParam):
    """Takes a text or a path as it was typed, and a default as it is; what else was typed goes Typer's way."""

    def _coerce_value(self, value: Any, param: Any, ctx: Any) -> Any:  # noqa: ANN401 - Typer's own
        if self.annotation in _TEXTS:
            return self.annotation(value)
        if isinstance(value, self.annotation):
            return value
        return build_runtime_param(param.type_descriptor).coerce(value, param, ctx)


def _nothing() -> None:
    """Do nothing before a command."""
