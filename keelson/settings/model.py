"""Base of all settings: unknown keys are refused, and every fault is one sentence that names the key."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from keelson import pgpass
from keelson.errors import SettingsError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

WORDS = {  # where pydantic's own would not tell a writer of YAML what to write
    "dict_type": "write keys such as `name: value`",
    "model_type": "write keys such as `name: value`",
    "model_attributes_type": "write keys such as `name: value`",
    "tuple_type": "write a list such as `[one, two]`",
}


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        msg = "must be an absolute path"
        raise ValueError(msg)
    return path


def _writable(value: SecretStr) -> SecretStr:
    if not pgpass.is_writable(value.get_secret_value()):
        msg = "must have no line break or other control character, as files of passwords and .env cannot hold it"
        raise ValueError(msg)
    return value


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Password = Annotated[SecretStr, AfterValidator(_writable)]
Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]  # of a cluster


class Settings(BaseModel):
    """Typed settings that cannot be changed after they were read."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, hide_input_in_errors=True)

    @classmethod
    def read(cls, values: Mapping[str, Any], source: str, prefix: str = "") -> Self:
        """Return the settings in `values`; raises SettingsError with `source` and the key in its sentence."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as fault:
            # A misspelt key tells more than the missing one that it was meant to be.
            first = min(fault.errors(), key=lambda error: error["type"] != "extra_forbidden")
            raise SettingsError(cls._sentence(first, source, prefix)) from None

    @classmethod
    def _sentence(cls, error: ErrorDetails, source: str, prefix: str) -> str:
        path = [str(part) for part in error["loc"]]
        key = prefix + ".".join(path)
        if error["type"] == "extra_forbidden":
            return f"{source}: unknown setting {key!r}; {cls._suggestion(path)}"
        if error["type"] == "missing":
            return f"{source}: the setting {key!r} is missing; add it"
        return f"{source}: the setting {key!r} is wrong: {WORDS.get(error['type']) or _lower(error['msg'])}"

    @classmethod
    def _suggestion(cls, path: list[str]) -> str:
        known = sorted(_fields_at(cls, path[:-1]))
        near = difflib.get_close_matches(path[-1], known, n=1)
        return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"


def _fields_at(model: type[BaseModel], path: list[str]) -> list[str]:
    """Return the names of the fields of the model that stands at `path` below `model`."""
    for part in path:
        field = model.model_fields.get(part)
        inner = _model_in(field.annotation if field else None)
        model = inner or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - an annotation has no narrower type
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if found := _model_in(argument):
            return found
    return None


def _lower(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]
