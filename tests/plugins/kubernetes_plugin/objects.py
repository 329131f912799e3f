"""The form of inputs and states: what the official plugin makes equal, prunes, marks as secret and keeps."""

from __future__ import annotations

import base64
import binascii
from decimal import ROUND_UP, Decimal, InvalidOperation
from typing import Any

from plugin.wire import UNKNOWN, Bag, holds_secret, holds_unknown, is_secret, plain, secret

from .kinds import shape

ANNOTATION = "pulumi.com/"
INPUTS, API_VERSION, MANAGER = "__inputs", "__initialApiVersion", "__fieldManager"
READ_ONLY = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
)
DASHED = (
    "embedded-resource",
    "int-or-string",
    "list-map-keys",
    "list-type",
    "map-type",
    "preserve-unknown-fields",
    "validations",
)
TO_DASHES = {f"x_kubernetes_{each.replace('-', '_')}": f"x-kubernetes-{each}" for each in DASHED}
TO_UNDERSCORES = {theirs: ours for ours, theirs in TO_DASHES.items()}
QUANTITIES = frozenset(
    """
    allocatable capacity default defaultRequest hard limits max maxLimitRequestRatio min overhead podFixed requests
    """.split()  # noqa: SIM905 - a table of names
)
EMPTY: tuple[Any, ...] = ("", 0, [], {}, None)  # and false, which is 0; the API server leaves out most of these
LONE_QUANTITIES = frozenset({"divisor", "sizeLimit"})
BINARY = ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki")
DECIMAL = {"E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "": 0, "m": -3, "u": -6, "n": -9}


def thing(values: Bag) -> Bag:
    """Return an object as the API server knows it, from the engine's values."""
    return dict(_renamed(plain(values), TO_DASHES))


def as_sdk(values: Any) -> Any:
    """Return values with the SDK's names: those of a definition's own fields have underscores there."""
    return _renamed(values, TO_UNDERSCORES)


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {names.get(key, key): _renamed(each, names) for key, each in value.items()}
    return [_renamed(each, names) for each in value] if isinstance(value, list) else value


def metadata(found: Bag) -> Bag:
    """Return an object's metadata, nothing where a preview does not know them."""
    known = found.get("metadata")
    return known if isinstance(known, dict) else {}


def annotation(found: Bag, name: str) -> str:
    """Return the value of one of the plugin's own annotations."""
    annotations = metadata(found).get("annotations")
    return str(annotations.get(ANNOTATION + name, "")) if isinstance(annotations, dict) else ""


def says(found: Bag, name: str) -> bool:
    """Tell whether one of the plugin's own annotations is "true"."""
    return annotation(found, name) == "true"


def name_of(found: Bag) -> str:
    """Return an object's name."""
    return str(metadata(found).get("name", ""))


def namespace_of(found: Bag) -> str:
    """Return an object's namespace."""
    return str(metadata(found).get("namespace", ""))


def identity(found: Bag) -> str:
    """Return what the engine calls an object: namespace/name, or its name."""
    return "/".join(each for each in (namespace_of(found), name_of(found)) if each)


def group_of(found: Bag) -> str:
    """Return an object's group, nothing for the core's."""
    return str(found.get("apiVersion", "")).rpartition("/")[0]


def is_definition(found: Bag) -> bool:
    """Tell whether an object defines a kind."""
    return found.get("kind") == "CustomResourceDefinition" and group_of(found) == "apiextensions.k8s.io"


def is_secret_kind(found: Bag) -> bool:
    """Tell whether an object is a Secret."""
    return found.get("kind") == "Secret" and group_of(found) == ""


def normalised(found: Bag) -> Bag:
    """Return the inputs in the form in which the API server gives them back."""
    made = dict(found)
    if not holds_unknown(made) and shape(str(made.get("apiVersion")), str(made.get("kind"))):
        made = dict(_without_nulls(made))
        if is_secret_kind(made):
            made = _secret(made)
        elif is_definition(made):
            made = _definition(made)
        elif made.get("kind") != "ConfigMap":
            made = dict(_with_quantities(made))
    if isinstance(made.get("metadata"), dict):
        made["metadata"] = {key: value for key, value in made["metadata"].items() if key not in READ_ONLY}
    return made


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


def _secret(found: Bag) -> Bag:
    strings = found.get("stringData") or {}
    encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in strings.items()}
    data = {key: _encoded_again(value) for key, value in (found.get("data") or {}).items()}
    rest = {key: value for key, value in found.items() if key not in {"data", "stringData"}}
    return rest | ({"data": data | encoded} if data or encoded else {})


def _encoded_again(text: Any) -> Any:
    try:
        return base64.b64encode(base64.b64decode("".join(str(text).split()), validate=True)).decode()
    except binascii.Error:
        return text


def _definition(found: Bag) -> Bag:
    spec = dict(found.get("spec") or {})
    if spec.get("preserveUnknownFields") is False:
        del spec["preserveUnknownFields"]
    return {key: value for key, value in found.items() if key != "status"} | {"spec": spec}


def _with_quantities(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        if key in QUANTITIES and not any(isinstance(each, dict | list) for each in value.values()):
            return {name: quantity(each) for name, each in value.items()}
        return {name: _with_quantities(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_quantities(each) for each in value]
    return quantity(value) if key in LONE_QUANTITIES else value


def quantity(value: Any) -> Any:
    """Return a quantity in Kubernetes' canonical form: no fraction, the largest suffix that loses nothing."""
    text = str(value)
    number = text.rstrip("EPTGMKkimun")
    suffix = text[len(number) :]
    try:
        amount = Decimal(number)
    except InvalidOperation:
        return value
    if suffix in BINARY:
        amount *= Decimal(1024) ** (len(BINARY) - BINARY.index(suffix))
        if abs(amount) >= 1024:
            return _scaled(amount, [(each, Decimal(1024) ** (len(BINARY) - at)) for at, each in enumerate(BINARY)])
        return _decimal(amount)
    return _decimal(amount.scaleb(DECIMAL[suffix])) if suffix in DECIMAL else value


def _decimal(amount: Decimal) -> str:
    least = amount.quantize(Decimal(1).scaleb(-9), ROUND_UP)
    return _scaled(least, [(each, Decimal(1).scaleb(exponent)) for each, exponent in DECIMAL.items()])


def _scaled(amount: Decimal, suffixes: list[tuple[str, Decimal]]) -> str:
    if not amount:
        return "0"
    for suffix, factor in suffixes:
        if amount % factor == 0:
            return f"{int(amount / factor)}{suffix}"
    return str(int(amount.to_integral_value(ROUND_UP)))


def pruned(source: Any, target: Any) -> Any:
    """Return what `source` says of the places that `target` has; what is empty there and left out here stays."""
    if isinstance(source, dict) and isinstance(target, dict):
        empty = {key: each for key, each in target.items() if key not in source and each in EMPTY}
        return {key: pruned(each, target[key]) for key, each in source.items() if key in target} | empty
    if isinstance(source, list) and isinstance(target, list):
        return [pruned(each, wanted) for each, wanted in zip(source, target, strict=False)]
    return source


def with_secrets(outs: Bag, ins: Bag) -> Bag:
    """Return the values with what is secret in `ins` marked, and all data of a Secret."""
    if outs.get("kind") == "Secret":
        return {key: secret(each) if key in {"data", "stringData"} else each for key, each in outs.items()}
    marked = dict(outs)
    for key, value in ins.items():
        if key not in outs:
            continue
        if (
            isinstance(outs[key], dict)
            and isinstance(value, dict)
            and not is_secret(outs[key])
            and not is_secret(value)
        ):
            marked[key] = with_secrets(outs[key], value)
        elif holds_secret(value):
            marked[key] = secret(outs[key])
    return marked


def checkpoint(inputs: Bag, live: Bag, given: Bag, first_version: str, manager: str) -> Bag:
    """Return the state to keep: the live object, and beside it what was asked for and whose fields these are."""
    outputs = with_secrets(as_sdk(live), given)
    return outputs | {INPUTS: with_secrets(as_sdk(inputs), given), API_VERSION: first_version, MANAGER: manager}


def parsed(state: Bag) -> tuple[Bag, Bag]:
    """Return inputs and live object of a state."""
    known = thing(state)
    inputs = known.pop(INPUTS, None) or {}
    return inputs, {key: value for key, value in known.items() if key not in {API_VERSION, MANAGER}}


def is_unknown(value: Any) -> bool:
    """Tell whether a value is the mark of one that is not known."""
    return bool(value == UNKNOWN)
