"""Create, read, update and delete objects."""

from __future__ import annotations

import dataclasses
import secrets
from typing import Any

from plugin.wire import Bag, holds_unknown

from .cluster import NoMatchError, PluginError, RefusedError
from .kinds import shape
from .objects import (
    API_VERSION,
    MANAGER,
    annotation,
    checkpoint,
    identity,
    is_definition,
    metadata,
    name_of,
    normalised,
    parsed,
    pruned,
    says,
    thing,
    with_secrets,
)
from .ownership import CREATOR, is_created_only, left_alone, taken_over
from .session import Session
from .waiting import NotReadyError, Wait, asked_for, until_gone
from .workloads import WAITS

TRIES = 6  # of a create, as its namespace or definition may be on its way
EXISTS = """

The resource already exists in the cluster. This can happen when:

  - Renaming a Pulumi resource: use an alias to preserve the identity,
    or use deleteBeforeReplace if the resource needs replacement.
  - Managing an existing resource: use a Patch resource (e.g. NamespacePatch)
    to manage specific fields without owning the resource lifecycle.
  - Adopting a resource into Pulumi: use `pulumi import`. Note that
    protected resources (e.g. kube-system) cannot be deleted on destroy.
  - Intentional upsert: set upsertExistingObjects on the provider to allow
    server-side apply to update existing objects on create."""
IMMUTABLE = "field is immutable"  # in what the API server says; of a StatefulSet it says something else
DRY_RUN = {"dryRun": "All"}
POLICIES = {"orphan": "Orphan", "background": "Background"}


@dataclasses.dataclass(frozen=True)
class Operation:
    """One call of the engine about one resource."""

    session: Session
    urn: str
    preview: bool = False
    timeout: float = 0.0  # seconds, 0 if the engine names none
    ignored: tuple[str, ...] = ()

    def seconds(self, inputs: Bag) -> float | None:
        """Return how long to wait: what the engine says, else the annotation."""
        text = annotation(inputs, "timeoutSeconds")
        return self.timeout or (float(text) if text.isdigit() else None) or None


class KeptError(PluginError):
    """The object exists nevertheless: this is what the engine is to keep."""

    def __init__(self, sentence: str, found: Bag, state: Bag, reasons: list[str], inputs: Bag | None = None) -> None:
        super().__init__(sentence)
        self.identity = identity(found)
        self.state = state
        self.reasons = reasons
        self.inputs = inputs


def create(operation: Operation, given: Bag) -> tuple[str, Bag]:
    """Create an object and wait for it; in a preview let the API server say what it would be.

    Raises:
        PluginError: it was not created.
        KeptError: it was, and is not ready.
    """
    inputs, manager = thing(given), _manager({}, thing(given))
    if operation.preview and (holds_unknown(inputs) or not operation.session.has(inputs)):
        return "", given
    try:
        live = _created(operation, inputs, manager)
    except RefusedError as fault:
        if operation.preview and _hides_preview(fault):
            return "", given
        exists = EXISTS if fault.reason == "AlreadyExists" else ""
        msg = f'resource "{operation.urn}" was not successfully created by the Kubernetes API server: {fault}{exists}'
        raise PluginError(msg) from fault
    if operation.preview:
        shown = {key: each for key, each in live.items() if key != "status"}
        return "", checkpoint(inputs, shown, given, inputs["apiVersion"], manager)
    try:
        live = _awaited(operation, inputs, live, None)
    except NotReadyError as fault:
        how = "was successfully created, but the Kubernetes API server reported that it failed to fully initialize or become live"
        state = checkpoint(inputs, fault.found, given, inputs["apiVersion"], manager)
        sentence = f'resource "{operation.urn}" {how}: {fault}'
        raise KeptError(sentence, fault.found, state, [sentence, *fault.reasons]) from fault
    if is_definition(inputs):
        operation.session.cluster.forget_kinds()
    return identity(live), checkpoint(inputs, live, given, inputs["apiVersion"], manager)


def _created(operation: Operation, inputs: Bag, manager: str) -> Bag:
    session, pause = operation.session, operation.session.retry
    for attempt in range(TRIES):
        try:
            return _create_once(operation, inputs, manager)
        except RefusedError as fault:
            if fault.code != 404 or operation.preview or attempt == TRIES - 1:
                raise
            session.engine.status(operation.urn, f"Retry #{attempt}; creation failed: {fault}")
        except NoMatchError as fault:
            if attempt == TRIES - 1:
                raise _explained(fault, operation.urn, inputs) from fault
            session.engine.status(operation.urn, f"Retry #{attempt}; creation failed: {fault}")
        if session.cancelled.wait(pause * 2**attempt):
            msg = f'creation of "{operation.urn}" was cancelled'
            raise PluginError(msg)
    raise AssertionError


def _explained(fault: NoMatchError, urn: str, inputs: Bag) -> PluginError:
    kind = f"{inputs.get('apiVersion')}/{inputs.get('kind')}"
    words = (
        "reported that the apiVersion for this resource does not exist. Verify that any required CRDs have been created"
    )
    return PluginError(
        f'creation of resource "{urn}" with kind {kind} failed because the Kubernetes API server {words}: {fault}'
    )


def _create_once(operation: Operation, inputs: Bag, manager: str) -> Bag:
    cluster = operation.session.cluster
    query = {"fieldValidation": "Strict"} | (DRY_RUN if operation.preview else {})
    if operation.session.enabled("upsertExistingObjects"):
        return _applied(operation, inputs, manager, None)
    path = cluster.mapped(inputs).of(metadata(inputs).get("namespace", ""))
    return cluster.request("POST", path, inputs, query | {"fieldManager": CREATOR})


def _hides_preview(fault: RefusedError) -> bool:
    """Tell whether a dry run says nothing about the create itself: forbidden, no namespace yet, still to be replaced."""
    no_namespace = fault.code == 404 and fault.about == "namespaces"
    no_dry_run = fault.code == 400 and "does not support dry run" in str(fault)
    return fault.code == 403 or no_namespace or no_dry_run or fault.reason == "AlreadyExists"


def _applied(operation: Operation, inputs: Bag, manager: str, live: Bag | None) -> Bag:
    """Apply on the server; the manager's fields are what the inputs say."""
    force = says(inputs, "patchForce") or operation.session.enabled("enablePatchForce")
    if operation.preview:
        force = force or live is None or is_created_only(live)
    if live is not None and not metadata(live).get("managedFields"):
        force = True
    query = {"fieldManager": manager, "force": str(force).lower(), "fieldValidation": "Strict"}
    cluster = operation.session.cluster
    path = cluster.mapped(inputs).of(metadata(inputs).get("namespace", ""), name_of(inputs))
    try:
        return cluster.request("PATCH", path, inputs, query | (DRY_RUN if operation.preview else {}))
    except RefusedError as fault:
        if operation.preview and live is None and fault.code == 422 and IMMUTABLE in str(fault):
            return _applied(operation, _renamed(inputs), manager, None)  # what is replaced stands in the way as yet
        if fault.code != 409:
            raise
        how = "server-side apply field conflict detected, annotate the object with pulumi.com/patchForce to take the fields over"
        msg = f'{how}\nThe resource managed by field manager "{manager}" had an apply conflict: {fault}'
        raise RefusedError(fault.code, {"message": msg, "reason": fault.reason}) from fault


def _renamed(inputs: Bag) -> Bag:
    return inputs | {"metadata": metadata(inputs) | {"name": f"{name_of(inputs)}-{secrets.token_hex(3)}"}}


def _awaited(operation: Operation, inputs: Bag, live: Bag, last: Bag | None) -> Bag:
    if says(inputs, "skipAwait"):
        return live
    session, urn = operation.session, operation.urn
    wait = asked_for(session, urn, live) or _usual(session, urn, live, last)
    return wait.until_ready(operation.seconds(inputs)) if wait else live


def _usual(session: Session, urn: str, live: Bag, last: Bag | None) -> Wait | None:
    kind = WAITS.get((live["apiVersion"], live["kind"]))
    return kind(session, urn, live, last) if kind else None


def read(
    operation: Operation, named: str, state: Bag, given: Bag, type_: tuple[str, str]
) -> tuple[str, Bag, Bag] | None:
    """Return id, state and inputs of an object, None when it is gone.

    Raises:
        KeptError: it is there and not ready.
    """
    inputs, is_import = _as_known(named, state, given, type_)
    inputs, session = normalised(inputs), operation.session
    fault: NotReadyError | None = None
    try:
        live = session.cluster.get(inputs, named.rpartition("/")[2])
        wait = None if is_import or says(inputs, "skipAwait") else _usual(session, operation.urn, live, live)
        try:
            live = wait.as_read() if wait else live
        except NotReadyError as not_ready:
            fault, live = not_ready, not_ready.found
    except NoMatchError:
        return None
    except RefusedError as refused:
        if refused.code != 404:
            raise
        return None
    asked = _imported(inputs, live) if is_import else dict(pruned(live, inputs))
    first = str(state.get(API_VERSION) or inputs["apiVersion"])
    kept = checkpoint(asked, live, given, first, _manager(state, inputs))
    if fault:
        raise KeptError(str(fault), live, kept, [str(fault), *fault.reasons], with_secrets(asked, given)) from fault
    return named or identity(live), kept, with_secrets(asked, given)


def _as_known(named: str, state: Bag, given: Bag, type_: tuple[str, str]) -> tuple[Bag, bool]:
    """Return what is known of the inputs, and whether that is only the name."""
    inputs, live = thing(given), parsed(state)[1]
    if inputs.get("kind"):
        return inputs, False
    namespace, _, name = named.rpartition("/")
    known = {"name": name} | ({"namespace": namespace} if namespace else {})
    api_version, kind = (live["apiVersion"], live["kind"]) if live.get("kind") else type_
    made = {"apiVersion": api_version, "kind": kind, **inputs, "metadata": known | metadata(inputs)}
    return made, not live.get("kind")


def _imported(inputs: Bag, live: Bag) -> Bag:
    """Return an object's inputs where only its name was known: all that the SDK could have asked for."""
    known = shape(inputs["apiVersion"], inputs["kind"])
    made = dict(pruned(live, inputs)) | {key: each for key, each in live.items() if known and key in known.fields}
    return normalised(made)


def update(operation: Operation, state: Bag, given: Bag) -> Bag:
    """Apply the inputs to the object and wait for it; in a preview let the API server say what it would be.

    Raises:
        PluginError: it could not be asked.
        KeptError: the API server refused, or the object is not ready.
    """
    inputs, live = normalised(thing(given)), parsed(state)[1]
    if operation.preview and (holds_unknown(inputs) or not operation.session.has(inputs)):
        return given
    manager = _manager(state, inputs)
    first = str(state.get(API_VERSION) or inputs["apiVersion"])
    try:
        live = _updated(operation, inputs, live, manager)
    except (RefusedError, NotReadyError) as fault:
        if operation.preview and isinstance(fault, RefusedError) and fault.code == 403:
            return given
        raise _kept(
            operation, fault, parsed(state)[1], lambda found: checkpoint(inputs, found, given, first, manager)
        ) from fault
    return checkpoint(inputs, live, given, first, manager)


def _updated(operation: Operation, inputs: Bag, old: Bag, manager: str) -> Bag:
    cluster = operation.session.cluster
    before = cluster.get(inputs, name_of(old))
    if is_definition(inputs):
        metadata_ = inputs["metadata"] | {"resourceVersion": before["metadata"]["resourceVersion"]}
        path = cluster.mapped(inputs).of("", name_of(inputs))
        query = {"fieldManager": manager} | (DRY_RUN if operation.preview else {})
        live = cluster.request("PUT", path, inputs | {"metadata": metadata_}, query)
    else:
        patch = None if operation.preview else taken_over(before, manager)
        path = cluster.mapped(inputs).of(metadata(inputs).get("namespace", ""), name_of(before))
        before = cluster.request("PATCH", path, patch) if patch else before
        asked = left_alone(inputs, before, manager, list(operation.ignored))
        live = _applied(operation, asked, manager, before)
    return live if operation.preview else _awaited(operation, inputs, live, before)


def _kept(operation: Operation, fault: PluginError, old: Bag, state_of: Any) -> PluginError:
    """Return the fault with the object as it is now."""
    try:
        live = operation.session.cluster.get(old)
    except PluginError as lost:
        return PluginError(f'update of resource "{operation.urn}" failed: {fault}\nunable to get cluster state: {lost}')
    how = f'the Kubernetes API server reported that "{identity(live)}" failed to fully initialize or become live'
    reasons = fault.reasons if isinstance(fault, NotReadyError) else []
    return KeptError(f"{how}: {fault}", live, state_of(live), [f"{how}: {fault}", *reasons])


def delete(operation: Operation, named: str, state: Bag) -> None:
    """Delete an object and wait until it is gone; one that is gone already is deleted.

    Raises:
        KeptError: it is still there.
    """
    inputs, live = parsed(state)
    cluster = operation.session.cluster
    policy = POLICIES.get(annotation(inputs, "deletionPropagationPolicy").lower(), "Foreground")
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy}
    try:
        path = cluster.mapped(live).of(metadata(live).get("namespace", ""), named.rpartition("/")[2])
        cluster.request("DELETE", path, options)
    except NoMatchError:
        return
    except RefusedError as fault:
        if fault.code != 404:
            raise
        return
    try:
        until_gone(operation.session, operation.urn, inputs, live, operation.seconds(inputs))
    except NotReadyError as fault:
        kept = checkpoint(inputs, fault.found, state, str(state.get(API_VERSION)), _manager(state, inputs))
        raise KeptError(str(fault), fault.found, kept, [str(fault)]) from fault
    if is_definition(live):
        cluster.forget_kinds()


def _manager(state: Bag, inputs: Bag) -> str:
    """Return whose fields these are: as annotated, else as before, else one of its own."""
    known = annotation(inputs, "patchFieldManager") or state.get(MANAGER)
    return str(known or f"{CREATOR}-{secrets.token_hex(4)}")
