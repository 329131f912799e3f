"""The gRPC side: what the engine asks, answered for objects of the Kubernetes API."""

# ruff: noqa: N802 - gRPC's names

from __future__ import annotations

import contextlib
import json
import secrets
import sys
from collections.abc import Iterator

import grpc
import yaml
from google.protobuf import empty_pb2
from plugin.server import change, refuse_but_keep, serve, token
from plugin.shapes import faults
from plugin.wire import Bag, bag, plain, struct
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from . import diffs, kinds, resources
from .cluster import PluginError
from .objects import (
    annotation,
    as_sdk,
    group_of,
    is_definition,
    is_unknown,
    metadata,
    name_of,
    namespace_of,
    normalised,
    parsed,
    pruned,
    says,
    thing,
    with_secrets,
)
from .resources import KeptError, Operation
from .session import Engine, Session, active_cluster, load

VERSION = "4.34.0"
LEFT_OUT = {  # settings of the official plugin that the stand-in does not have, and what is to stand there
    "renderYamlToDirectory": "",
    "alwaysRender": "false",
    "enableServerSideApply": "true",
}
NONE, SOME = provider_pb2.DiffResponse.DIFF_NONE, provider_pb2.DiffResponse.DIFF_SOME
AUTONAMED = "pulumi.com/autonamed"


class _Loader(yaml.CSafeLoader):
    """Leaves a time what it is in JSON: text."""


_Loader.yaml_implicit_resolvers = {
    first: [each for each in found if each[0] != "tag:yaml.org,2002:timestamp"]
    for first, found in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


class Plugin(provider_pb2_grpc.ResourceProviderServicer):
    """Serves one engine."""

    def __init__(self, engine: str) -> None:
        self.engine = Engine(engine)
        self.session = Session(self.engine)

    def Handshake(
        self, _request: provider_pb2.ProviderHandshakeRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.ProviderHandshakeResponse:
        """Say that the plugin is there."""
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, supports_autonaming_configuration=True)

    def GetPluginInfo(self, _request: empty_pb2.Empty, _context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Return the version that this stands in for."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(
        self, _request: provider_pb2.GetSchemaRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.GetSchemaResponse:
        """Return the package's name only: the SDK is generated already."""
        return provider_pb2.GetSchemaResponse(schema=json.dumps({"name": "kubernetes", "version": VERSION}))

    def CheckConfig(
        self, request: provider_pb2.CheckRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Refuse settings that nobody knows, and those that the stand-in does not have."""
        given = plain(bag(request.news))
        unknown = {each: f'the provider has no setting "{each}"' for each in given.keys() - kinds.settings()}
        missing = {
            each: f'the stand-in for the Kubernetes plugin takes "{usual}" for {each} alone; use the official plugin'
            for each, usual in LEFT_OUT.items()
            if str(given.get(each, usual)).lower() not in {"", usual}
        }
        failures = [
            provider_pb2.CheckFailure(property=each, reason=reason)
            for each, reason in sorted((unknown | missing).items())
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Tell what changed; another cluster replaces, unless an identifier of it says otherwise."""
        olds, news = plain(bag(request.olds)), plain(bag(request.news))
        changed = sorted(each for each in olds.keys() | news.keys() if olds.get(each) != news.get(each))
        identifiers = (olds.get("clusterIdentifier"), news.get("clusterIdentifier"))
        places = [each for each in changed if each in {"kubeconfig", "context", "cluster"}]
        with _refusals(context):
            elsewhere = places and _points_elsewhere(olds, news, places)
        replaces = places if elsewhere else []
        if identifiers[0] and identifiers[1]:
            replaces = ["clusterIdentifier"] if identifiers[0] != identifiers[1] else []
        return provider_pb2.DiffResponse(changes=SOME if changed else NONE, diffs=changed, replaces=replaces)

    def Configure(
        self, request: provider_pb2.ConfigureRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        """Take the settings. A cluster that does not answer is no fault: a preview can go without."""
        prefix = "kubernetes:config:"
        given = {key.removeprefix(prefix): each for key, each in request.variables.items()}
        self.session = Session(self.engine, given)
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        """Refuse what the SDK does not know, and fill in name and namespace."""
        session, olds, news = self.session, bag(request.olds), bag(request.news)
        if session.unreachable and session.enabled("skipUpdateUnreachable"):
            words = "Cluster is unreachable but skipUpdateUnreachable flag is set to true, skipping..."
            self.engine.warn(request.urn, words)
            return provider_pb2.CheckResponse(inputs=request.olds)
        with _refusals(context):
            api_version, kind = kinds.of_token(token(request.urn))
            _refuse_left_out(api_version, kind)
            checked = normalised({"apiVersion": api_version, "kind": kind} | thing(news))
            _name(checked, thing(olds), request)
            self._into_namespace(checked)
        failures = [
            provider_pb2.CheckFailure(property=path, reason=reason)
            for path, reason in _faults(api_version, kind, plain(news))
        ]
        if is_definition(checked) and isinstance(checked.get("spec"), dict):
            spec = checked["spec"]
            scoped = (str(spec.get("group")), str((spec.get("names") or {}).get("kind")))
            session.scopes[scoped] = spec.get("scope") == "Namespaced"
        return provider_pb2.CheckResponse(inputs=struct(with_secrets(checked, news)), failures=failures)

    def _into_namespace(self, checked: Bag) -> None:
        namespaced = self.session.namespace and self._is_namespaced(checked)
        if namespaced and not is_unknown(checked.get("metadata")) and not namespace_of(checked):
            checked["metadata"] = {**metadata(checked), "namespace": self.session.namespace}

    def _is_namespaced(self, found: Bag) -> bool:
        """Tell whether a kind's objects are in namespaces; where nobody knows it, they are."""
        kind = str(found.get("kind"))
        if kinds.shape(str(found.get("apiVersion")), kind):
            return kind not in kinds.CLUSTER_SCOPED
        if (scope := self.session.scopes.get((group_of(found), kind))) is not None:
            return scope
        with contextlib.suppress(PluginError):
            return self.session.cluster.mapped(found).namespaced
        return True

    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Compare the live object, as it was last seen, with the inputs."""
        with _refusals(context):
            state, given = bag(request.olds), bag(request.news)
            old_inputs, live = parsed(state)
            old_inputs, inputs = normalised(old_inputs), normalised(thing(given))
            found = self._changes(old_inputs, live, inputs, list(request.ignoreChanges))
        patterns = diffs.replaces(
            inputs,
            mutable_secrets=self.session.enabled("enableSecretMutable"),
            mutable_config=self.session.enabled("enableConfigMapMutable"),
        )
        replaced = [each for each in found if any(map(each.touches, patterns))]
        if says(inputs, "replaceUnready") and inputs.get("kind") == "Job" and self._is_unready(live):
            found, replaces = found or [], ['.metadata.annotations["pulumi.com/replaceUnready"]']
        else:
            replaces = []
        replaces = [*map(str, replaced), *replaces]
        return provider_pb2.DiffResponse(
            changes=SOME if found or replaces else NONE,
            replaces=replaces,
            detailedDiff={str(each): _detailed(each, replaces=each in replaced) for each in found},
            hasDetailedDiff=True,
            deleteBeforeReplace=bool(replaces) and _keeps_its_name(inputs, live),
        )

    def _changes(self, old_inputs: Bag, live: Bag, inputs: Bag, ignored: list[str]) -> list[diffs.Change]:
        old = dict(pruned(live, old_inputs))
        for each in (old, inputs):
            each["metadata"] = {**metadata(each)} if not is_unknown(each.get("metadata")) else {}
            if self._is_namespaced(inputs):
                each["metadata"]["namespace"] = namespace_of(each) or "default"
            else:
                each["metadata"].pop("namespace", None)
        old |= {key: inputs[key] for key in ("apiVersion", "kind") if key not in old and key in inputs}
        if name_of(inputs):
            old["metadata"]["name"] = name_of(live)
        return [each for each in diffs.changes(old, inputs) if not diffs.is_ignored(each, ignored)]

    def _is_unready(self, live: Bag) -> bool:
        try:
            status = self.session.cluster.get(live).get("status") or {}
        except PluginError:
            return False
        return not any(each["type"] == "Complete" and each["status"] == "True" for each in status.get("conditions", ()))

    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        """Create; in a preview have the API server say what it would be, where it can."""
        operation = Operation(self.session, request.urn, request.preview, request.timeout)
        with _refusals(context):
            identity, state = resources.create(operation, bag(request.properties))
        return provider_pb2.CreateResponse(id=identity, properties=struct(state))

    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        """Read; an empty answer says that it is gone."""
        session = self.session
        if session.unreachable:
            self.engine.warn(request.urn, f"configured Kubernetes cluster is unreachable: {session.unreachable}")
            if session.enabled("deleteUnreachable"):
                return provider_pb2.ReadResponse()
            if session.enabled("skipUpdateUnreachable"):
                return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)
        with _refusals(context):
            if session.unreachable:
                _refuse_unreachable("failed to read resource state due to unreachable cluster")
            kind = kinds.of_token(token(request.urn))
            state, inputs = bag(request.properties), bag(request.inputs)
            found = resources.read(Operation(session, request.urn), request.id, state, inputs, kind)
        if found is None:
            return provider_pb2.ReadResponse()
        identity, state, inputs = found
        return provider_pb2.ReadResponse(id=identity, properties=struct(state), inputs=struct(inputs))

    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        """Update; in a preview have the API server say what it would be, where it can."""
        ignored = tuple(request.ignoreChanges)
        operation = Operation(self.session, request.urn, request.preview, request.timeout, ignored)
        with _refusals(context):
            state = resources.update(operation, bag(request.olds), bag(request.news))
        return provider_pb2.UpdateResponse(properties=struct(state))

    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Delete; what is gone already is deleted."""
        session = self.session
        if session.unreachable:
            self.engine.warn(request.urn, f"configured Kubernetes cluster is unreachable: {session.unreachable}")
            if session.enabled("deleteUnreachable"):
                return empty_pb2.Empty()
        with _refusals(context):
            if session.unreachable:
                _refuse_unreachable("configured Kubernetes cluster is unreachable")
            operation = Operation(session, request.urn, timeout=request.timeout)
            resources.delete(operation, request.id, bag(request.properties))
        return empty_pb2.Empty()

    def Invoke(self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext) -> provider_pb2.InvokeResponse:
        """Return the objects of a YAML text; there is no other function."""
        arguments = plain(bag(request.args))
        if request.tok != "kubernetes:yaml:decode":
            words = f"the stand-in for the Kubernetes plugin has kubernetes:yaml:decode, and not {request.tok}"
            context.abort(grpc.StatusCode.UNIMPLEMENTED, words)
        try:
            found = [dict(each) for each in yaml.load_all(arguments["text"], _Loader) if each]
        except yaml.YAMLError as fault:
            context.abort(grpc.StatusCode.UNKNOWN, f"the text is no YAML: {fault}")
        objects = [each for each in found if each.get("kind") and each.get("apiVersion")]
        if namespace := arguments.get("defaultNamespace"):
            for each in filter(self._is_namespaced, objects):
                each["metadata"] = {"namespace": namespace} | (each.get("metadata") or {})
        reply = provider_pb2.InvokeResponse()
        getattr(reply, "return").CopyFrom(struct({"result": objects}))  # a word of Python's
        return reply

    def Construct(
        self, request: provider_pb2.ConstructRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConstructResponse:
        """Refuse: there are no components."""
        words = (
            f"the stand-in for the Kubernetes plugin has no components, and not {request.type}; use the official plugin"
        )
        context.abort(grpc.StatusCode.UNIMPLEMENTED, words)
        raise AssertionError  # abort raises

    def Cancel(self, _request: empty_pb2.Empty, _context: grpc.ServicerContext) -> empty_pb2.Empty:
        """End what waits."""
        self.session.cancelled.set()
        return empty_pb2.Empty()


def main() -> None:
    """Serve until the engine, who reads standard output, is gone."""
    serve(Plugin(sys.argv[1] if len(sys.argv) > 1 else ""))


def _refuse_left_out(api_version: str, kind: str) -> None:
    if kind.endswith("Patch") and kinds.shape(api_version, kind.removesuffix("Patch")):
        msg = f"the stand-in for the Kubernetes plugin has no patch resources, and not {kind}; use the official plugin"
        raise PluginError(msg)
    if kind.endswith("List") and kinds.shape(api_version, kind.removesuffix("List")):
        msg = (
            "list resources exist for compatibility with YAML manifests and Helm charts, and cannot be created directly. "
            "Use the underlying resource type instead"
        )
        raise PluginError(msg)


def _faults(api_version: str, kind: str, given: Bag) -> Iterator[tuple[str, str]]:
    """Yield what the SDK does not know; of a custom resource it knows the metadata."""
    known = kinds.shape(api_version, kind)
    if known:
        yield from faults(known, as_sdk(given))
    else:
        yield from faults(kinds.metadata_shape(), given.get("metadata"), "metadata")


def _name(checked: Bag, olds: Bag, request: provider_pb2.CheckRequest) -> None:
    """Give the inputs a name where they have none: that from before, else one of their own."""
    if is_unknown(checked.get("metadata")) or name_of(checked):
        return
    if metadata(checked).get("generateName"):
        msg = "the `.metadata.generateName` field is not supported in Server-Side Apply mode"
        raise PluginError(msg)
    if annotation(olds, "autonamed") == "true":
        name = name_of(olds)
    elif olds:
        return
    else:
        name = _automatic(request)
    annotations = {**(metadata(checked).get("annotations") or {}), AUTONAMED: "true"}
    checked["metadata"] = {**metadata(checked), "name": name, "annotations": annotations}


def _automatic(request: provider_pb2.CheckRequest) -> str:
    mode = provider_pb2.CheckRequest.AutonamingOptions
    if request.HasField("autonaming"):
        if request.autonaming.mode == mode.DISABLE:
            msg = "autonaming is disabled, resource requires the .metadata.name field to be set"
            raise PluginError(msg)
        return str(request.autonaming.proposed_name)
    return f"{request.urn.rsplit('::', 1)[1]}-{secrets.token_hex(4)}"


def _points_elsewhere(olds: Bag, news: Bag, places: list[str]) -> bool:
    if any(is_unknown(news.get(each)) for each in places):
        return True
    try:
        old, new = (active_cluster(load(each.get("kubeconfig", "")), each) for each in (olds, news))
    except (OSError, ValueError) as fault:
        msg = f"failed to parse kubeconfig: {fault}"
        raise PluginError(msg) from fault
    return bool(old and new and old != new)


def _keeps_its_name(inputs: Bag, live: Bag) -> bool:
    """Tell whether a replacement must wait for the deletion: it has a name of the program's, and the same."""
    same_name = bool(name_of(inputs)) and name_of(inputs) == name_of(live)
    return same_name and not says(inputs, "autonamed") and namespace_of(inputs) == namespace_of(live)


def _detailed(found: diffs.Change, *, replaces: bool) -> provider_pb2.PropertyDiff:
    was, is_now = found.was is not diffs.MISSING, found.becomes is not diffs.MISSING
    made = change(replaces=replaces, was=was, is_now=is_now)
    made.inputDiff = not is_now
    return made


def _refuse_unreachable(what: str) -> None:
    msg = (
        f"{what}. If the cluster was deleted, you can remove this resource from Pulumi state by rerunning the "
        'operation with the PULUMI_K8S_DELETE_UNREACHABLE environment variable set to "true"'
    )
    raise PluginError(msg)


@contextlib.contextmanager
def _refusals(context: grpc.ServicerContext) -> Iterator[None]:
    """Answer a fault with its sentence; where the object exists nevertheless, with what the engine needs to keep it."""
    try:
        yield
    except KeptError as fault:
        kept = provider_pb2.ErrorResourceInitFailed(
            id=fault.identity,
            properties=struct(fault.state),
            reasons=fault.reasons,
            inputs=None if fault.inputs is None else struct(fault.inputs),
        )
        refuse_but_keep(context, str(fault), kept)
    except PluginError as fault:
        context.abort(grpc.StatusCode.UNKNOWN, str(fault))
