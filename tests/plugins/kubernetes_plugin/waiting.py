"""Waiting until an object is what it should be, or is gone."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from plugin.wire import Bag

from .cluster import NoMatchError, PluginError, RefusedError
from .objects import annotation, name_of, namespace_of, says
from .session import POLL, Session

USUAL = 600.0  # seconds
SKIPS_WAIT_FOR_DELETION = frozenset(
    {"Namespace", "Pod", "ReplicationController", "DaemonSet", "Deployment", "StatefulSet", "Job"}
)


class NotReadyError(PluginError):
    """The object exists and is not what it should be."""

    def __init__(self, sentence: str, found: Bag, reasons: list[str]) -> None:
        super().__init__(sentence)
        self.found = found
        self.reasons = reasons


class Wait:
    """What one object is waited for: itself by its name; kinds look at more."""

    limit = USUAL  # seconds, where nothing else is asked for
    fixed = False  # the limit holds whatever is asked for
    timed_out = "'{name}' timed out waiting to be Ready"

    def __init__(self, session: Session, urn: str, live: Bag, last: Bag | None = None) -> None:
        self.session = session
        self.urn = urn
        self.created = live
        self.live = live
        self.last = last

    @property
    def name(self) -> str:
        """The object's name."""
        return name_of(self.created)

    def look(self) -> bool:
        """Ask the cluster once; return whether that is what is waited for."""
        try:
            self.live = self.session.cluster.get(self.created)
        except RefusedError as fault:
            if fault.code != 404:
                raise
            return False
        return self.fits()

    def fits(self) -> bool:
        """Tell whether the live object is what is waited for."""
        return True

    def good_enough(self) -> bool:
        """Tell whether it may pass when the time is over, or when it is only read."""
        return False

    def reasons(self) -> list[str]:
        """Return why it is not ready."""
        return []

    def say(self, message: str) -> None:
        """Have shown what is waited for."""
        self.session.engine.status(self.urn, message)

    def neighbours(self, api_version: str, kind: str) -> list[Bag]:
        """Return all objects of a kind in the same namespace."""
        return self.session.cluster.listed(api_version, kind, namespace_of(self.created))

    def at(self, *words: str) -> Any:
        """Return what the live object has there."""
        value: Any = self.live
        for word in words:
            value = value.get(word) if isinstance(value, dict) else None
        return value

    def until_ready(self, seconds: float | None) -> Bag:
        """Wait; return the live object.

        Raises:
            NotReadyError: it failed, the time is over, or the engine cancels.
        """
        deadline = time.monotonic() + (self.limit if self.fixed else seconds or self.limit)
        while not self._is_ready_now():
            late = time.monotonic() > deadline
            if (late or self.session.cancelled.wait(POLL)) and self.good_enough():
                break
            if late:
                raise NotReadyError(self.timed_out.format(name=self.name), self.live, self.reasons())
            if self.session.cancelled.is_set():
                sentence = f'Resource operation was cancelled for "{self.name}"'
                raise NotReadyError(sentence, self.live, self.reasons())
        self.say("")
        return self.live

    def _is_ready_now(self) -> bool:
        """Look, and tell what the events say; a look that fails does not end the wait: the object exists."""
        try:
            if self.look():
                return True
            self._tell_events()
        except NotReadyError:
            raise
        except PluginError as fault:
            self.say(str(fault))
        return False

    def as_read(self) -> Bag:
        """Look once.

        Raises:
            NotReadyError: it is not ready.
        """
        if self.look() or self.good_enough():
            return self.live
        sentence = f"Resource '{self.name}' was created but failed to initialize"
        raise NotReadyError(sentence, self.live, self.reasons())

    def _tell_events(self) -> None:
        query = {"fieldSelector": f"involvedObject.uid={self.at('metadata', 'uid')},type=Warning"}
        for each in self.session.cluster.listed("v1", "Event", namespace_of(self.created), query)[-1:]:
            self.say(f"{each.get('reason')}: {each.get('message')}")


class ConditionWait(Wait):
    """`condition=Ready` or `condition=Ready=False`, as kubectl waits for it."""

    timed_out = "timed out waiting for the condition"
    wanted = ("Ready", "True")

    def fits(self) -> bool:
        """Tell whether the object has the condition, for its present generation."""
        kind, status = self.wanted
        for each in self.at("status", "conditions") or ():
            if str(each.get("type", "")).lower() == kind.lower():
                seen = each.get("observedGeneration", self.at("status", "observedGeneration"))
                is_old = seen is not None and seen < (self.at("metadata", "generation") or 0)
                return not is_old and str(each.get("status", "")).lower() == status.lower()
        return False


class PathWait(Wait):
    """`jsonpath={.status.phase}=Ready`, or the path alone if it need only be there."""

    timed_out = "timed out waiting for the condition"
    path: tuple[str | int, ...] = ()
    value = ""

    def fits(self) -> bool:
        """Tell whether there is such a value."""
        seen, generation = self.at("status", "observedGeneration"), self.at("metadata", "generation")
        if seen is not None and generation and seen < generation:
            return False
        found: Any = self.live
        for step in self.path:
            try:
                found = found[step]
            except (KeyError, IndexError, TypeError):
                return False
        if not self.value or isinstance(found, dict | list):
            return not self.value
        return (json.dumps(found) if isinstance(found, bool) else str(found)) == self.value


class AllWait(Wait):
    """Several conditions at once."""

    timed_out = "timed out waiting for the condition"
    parts: tuple[Wait, ...] = ()

    def fits(self) -> bool:
        """Tell whether all hold."""
        for part in self.parts:
            part.live = self.live
        return all(part.fits() for part in self.parts)


def asked_for(session: Session, urn: str, live: Bag) -> Wait | None:
    """Return the wait that the annotation `pulumi.com/waitFor` asks for, if there is one.

    Raises:
        PluginError: it asks for something else.
    """
    text = annotation(live, "waitFor")
    if not text:
        return None
    try:
        texts = json.loads(text)
    except ValueError:
        texts = [text]
    wait = AllWait(session, urn, live)
    wait.parts = tuple(_part(session, urn, live, str(each)) for each in (texts if isinstance(texts, list) else [text]))
    if not wait.parts:
        msg = "at least one condition must be specified"
        raise PluginError(msg)
    return wait


def _part(session: Session, urn: str, live: Bag, text: str) -> Wait:
    prefix, _, rest = text.partition("=")
    if prefix == "condition":
        kind, _, status = rest.partition("=")
        condition = ConditionWait(session, urn, live)
        condition.wanted = (kind, status or "True")
        return condition
    if prefix == "jsonpath":
        place = PathWait(session, urn, live)
        place.path, place.value = _path(rest)
        return place
    msg = f'expected a "jsonpath=" or "condition=" prefix, got "{text}"'
    raise PluginError(msg)


def _path(text: str) -> tuple[tuple[str | int, ...], str]:
    found = re.fullmatch(r"\{\s*\$?((?:\.[\w-]+|\[\d+\]|\['[^']+'\])+)\s*\}(?:=(.+))?", text)
    if not found:
        msg = f"the stand-in takes jsonpath={{.plain.steps[0]['and.names']}}=value, and not jsonpath={text}"
        raise PluginError(msg)
    steps = re.findall(r"\.([\w-]+)|\[(\d+)\]|\['([^']+)'\]", found[1])
    return tuple(int(index) if index else word or quoted for word, index, quoted in steps), found[2] or ""


def until_gone(session: Session, urn: str, inputs: Bag, live: Bag, seconds: float | None) -> None:
    """Wait until an object is gone.

    Raises:
        NotReadyError: it is still there when the time is over, or the engine cancels.
    """
    if says(inputs, "skipAwait") and live.get("kind") in SKIPS_WAIT_FOR_DELETION:
        return
    last = live

    def gone() -> bool:
        nonlocal last
        try:
            last = session.cluster.get(live)
        except NoMatchError:
            return True
        except RefusedError as fault:
            if fault.code != 404:
                raise
            return True
        return bool(last["metadata"]["uid"] != live.get("metadata", {}).get("uid", last["metadata"]["uid"]))

    if not session.until(gone, seconds or USUAL):
        finalizers = ", ".join(last["metadata"].get("finalizers") or ())
        session.engine.warn(urn, f"finalizers might be preventing deletion ({finalizers})")
        why = "context canceled" if session.cancelled.is_set() else "timed out waiting for the condition"
        raise NotReadyError(why, last, [])
