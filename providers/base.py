"""The one base of all dynamic providers.

Pulumi hands dictionaries to providers and takes dictionaries back; here they become typed values and the reverse. A
provider says what it makes, changes and removes; the base does the rest: defaults of `check` and `diff`, unknown values
during a preview, one sentence for every expected fault, and an end of its own when the engine is gone.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

import psycopg
from pulumi import ResourceOptions
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)
from pulumi.output import Unknown

from keelson.errors import KeelsonError, UnreachableError
from keelson.target import is_same_place
from providers import values
from providers.watch import end_with_the_engine

Inputs = TypeVar("Inputs")
Bag = dict[str, Any]


class ProviderError(KeelsonError):
    """A fault of the database server or the machine that no more specific error describes."""


class Provider(ResourceProvider, Generic[Inputs]):
    """Adapter between Pulumi's verbs and typed calls; subclasses are stateless and live in modules of their own."""

    # The pickled provider is a reference to its class and captures nothing, so it is no secret.
    serialize_as_secret_always = False

    inputs: ClassVar[type[Any]]  # a frozen dataclass: what the resource takes
    compared: ClassVar[tuple[str, ...]]  # the inputs whose change is an update
    fixed: ClassVar[Mapping[str, str]] = {}  # inputs that may never change, each with the next step for its user

    @abstractmethod
    def identify(self, inputs: Inputs) -> str:
        """Return the resource's id, derived from inputs alone."""

    @abstractmethod
    def make(self, inputs: Inputs) -> Bag:
        """Make the thing, or go on with what an interrupted run left; return the computed outputs."""

    def change(self, inputs: Inputs, state: Bag) -> Bag:  # noqa: ARG002 - the state is for those who need it
        """Bring the thing to new inputs; return the computed outputs. By default the same as making it."""
        return self.make(inputs)

    def remove(self, state: Bag) -> None:
        """Take the thing away; that it is gone already is a success. By default there is nothing to take away."""

    def look(self, state: Bag) -> Bag | None:
        """Return the computed outputs as they are now, None if the thing is gone. By default what the state says."""
        return state

    def examine(self, inputs: Bag, old: Bag) -> Bag:  # noqa: ARG002 - the old inputs are for those who need them
        """Return the inputs to keep, without any connection; raises KeelsonError when they cannot work."""
        return inputs

    def differs(self, state: Bag, new: Bag) -> bool:
        """Say whether `new` inputs need an update; opens no connection."""
        return any(values.plain(state.get(key)) != values.plain(new.get(key)) for key in self.compared)

    def is_named_anew(self, state: Bag, new: Bag) -> bool:
        """Say whether the cluster has another name by now, by which all that the engine asks later must go."""
        places = [(values.at(state, key), values.at(new, key)) for key in ("place", "reference.target")]
        return any(old != now and str(old).startswith("kubernetes:") for old, now in places if old and now)

    # Pulumi's verbs

    def check(self, olds: Bag, news: Bag) -> CheckResult:
        """Validate inputs during a preview."""
        end_with_the_engine()
        news, olds = values.without_provider(news), values.without_provider(olds)
        try:
            self._refuse_fixed(olds, news)
            return CheckResult(self.examine(news, olds), [])
        except KeelsonError as fault:
            return CheckResult(news, [CheckFailure("", str(fault))])

    def diff(self, _id: str, olds: Bag, news: Bag) -> DiffResult:
        """Compare the state with new inputs; never answers "replace"."""
        return DiffResult(changes=_unknown(news) or self.differs(olds, news) or self.is_named_anew(olds, news))

    def create(self, props: Bag) -> CreateResult:
        """Make the thing."""
        end_with_the_engine()
        inputs = values.decode(self.inputs, props)
        return CreateResult(self.identify(inputs), values.without_provider(props) | _sentence(self.make, inputs))

    def update(self, _id: str, olds: Bag, news: Bag) -> UpdateResult:
        """Change the thing."""
        end_with_the_engine()
        inputs = values.decode(self.inputs, news)
        return UpdateResult(
            values.without_provider(news) | _sentence(self.change, inputs, values.without_provider(olds))
        )

    def delete(self, _id: str, props: Bag) -> None:
        """Take the thing away."""
        end_with_the_engine()
        _sentence(self.remove, values.without_provider(props))

    def read(self, id_: str, props: Bag) -> ReadResult:
        """Look what the thing is like now, for a refresh; what cannot be reached stays as it was."""
        end_with_the_engine()
        state = values.without_provider(props)
        try:
            found = _sentence(self.look, state)
        except UnreachableError as fault:  # the next update makes what it stands on, or says why not
            print(f"{id_} is taken for as it was: {fault}", flush=True)  # noqa: T201 - the engine shows what a provider prints
            found = {}
        return ReadResult("", {}) if found is None else ReadResult(id_, state | found)

    def _refuse_fixed(self, olds: Bag, news: Bag) -> None:
        for key, next_step in self.fixed.items():
            old, new = values.at(olds, key), values.at(news, key)
            if olds and not isinstance(new, Unknown) and old != new:
                msg = f"{key.rpartition('.')[2]} cannot change from {old!r} to {new!r}; {next_step}"
                if key == "place" and _is_same_place(str(old), str(new), msg):
                    continue
                raise KeelsonError(msg)


def _is_same_place(old: str, new: str, refusal: str) -> bool:
    """Say whether a place has only got another name; raises KeelsonError where nobody can tell."""
    try:
        return is_same_place(old, new)
    except KeelsonError as fault:
        msg = f"{refusal} (whether both are the same cluster cannot be told: {fault})"
        raise KeelsonError(msg) from None


def _sentence(call: Any, *arguments: Any) -> Any:  # noqa: ANN401 - passes through what it calls
    """Call and turn what a server or the machine may say into one sentence; what is left is a defect and keeps its traceback."""
    try:
        return call(*arguments)
    except KeelsonError as fault:
        raise fault from None
    except psycopg.Error as fault:
        said = (fault.diag.message_primary or str(fault) or type(fault).__name__).splitlines()[0]
        msg = f"the database server refused: {said} (SQLSTATE {fault.sqlstate})"
        raise ProviderError(msg) from None
    except OSError as fault:
        msg = f"this machine refused: {fault}; make room or give access and run the command again"
        raise ProviderError(msg) from None


def _unknown(value: object) -> bool:
    if isinstance(value, dict):
        return any(_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(_unknown(item) for item in value)
    return isinstance(value, Unknown)


class Managed(Resource):
    """A resource that a provider of ours manages; subclasses name it, and annotate the outputs that it computes."""

    provider: ClassVar[type[Provider[Any]]]
    computed: ClassVar[tuple[str, ...]] = ()

    def __init__(self, name: str, inputs: Mapping[str, Any], opts: ResourceOptions | None = None) -> None:
        super().__init__(self.provider(), name, {**inputs, **dict.fromkeys(self.computed)}, opts)
