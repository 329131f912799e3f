"""What every job of a stack is: written where its runner reads it, and struck out; what it has made stays when it goes."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Protocol, TypeVar

from keelson.agent.jobs import Job
from keelson.endpoint import Reference
from keelson.schedule import Schedule
from keelson.target import target
from providers.base import Bag, Provider


class JobInputs(Protocol):
    """What a kind of job takes; `reference` is what it is done with, as the administrator."""

    @property
    def reference(self) -> Reference: ...  # noqa: D102 - the class's first line

    @property
    def job(self) -> Job: ...  # noqa: D102 - what is written down


Inputs = TypeVar("Inputs", bound=JobInputs)


class JobProvider(Provider[Inputs]):
    """A kind says how its jobs are called, and what of one its state repeats."""

    repeated: ClassVar[tuple[str, ...]] = ("schedule", "time_zone")  # fields of a job that a refresh compares

    @abstractmethod
    def name_in(self, state: Bag) -> str:
        """Return the job's name in the stack."""

    def identify(self, inputs: Inputs) -> str:
        """Return `stack/job`."""
        return f"{inputs.reference.stack}/{inputs.job.name}"

    def examine(self, inputs: Bag, old: Bag) -> Bag:  # noqa: ARG002 - the base's signature
        """Refuse a schedule that cannot be read."""
        Schedule(inputs["schedule"], inputs["time_zone"])
        return inputs

    def make(self, inputs: Inputs) -> Bag:
        """Write the job down."""
        target(inputs.reference.target).put_job(inputs.reference.stack, inputs.job)
        return {}

    def look(self, state: Bag) -> Bag | None:
        """Return what is written down; nothing where that is lost, or damaged."""
        reference = Reference(**state["reference"])
        job = target(reference.target).find_job(reference.stack, self.name_in(state))
        return None if job is None else {**{each: getattr(job, each) for each in self.repeated}, **job.settings}

    def remove(self, state: Bag) -> None:
        """Strike the job out."""
        reference = Reference(**state["reference"])
        target(reference.target).drop_job(reference.stack, self.name_in(state))
