"""The provider's configuration, and what the operations of one engine share."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import yaml
from kubernetes import config
from kubernetes.client import Configuration
from kubernetes.config.kube_config import KubeConfigMerger
from plugin.wire import Bag
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

from .cluster import Cluster, PluginError

POLL = 0.25  # seconds between two looks at what is waited for
VARIABLES = {  # of the environment, where the configuration says nothing
    "deleteUnreachable": "PULUMI_K8S_DELETE_UNREACHABLE",
    "skipUpdateUnreachable": "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE",
    "enableServerSideApply": "PULUMI_K8S_ENABLE_SERVER_SIDE_APPLY",
    "enablePatchForce": "PULUMI_K8S_ENABLE_PATCH_FORCE",
    "upsertExistingObjects": "PULUMI_K8S_UPSERT_EXISTING_OBJECTS",
    "enableConfigMapMutable": "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE",
    "enableSecretMutable": "PULUMI_K8S_ENABLE_SECRET_MUTABLE",
}


class Engine:
    """The engine's own log."""

    def __init__(self, address: str) -> None:
        self._stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address)) if address else None
        self._last: dict[str, str] = {}

    def warn(self, urn: str, message: str) -> None:
        """Have a warning shown with a resource."""
        self._log(urn, message, engine_pb2.LogSeverity.WARNING)

    def status(self, urn: str, message: str) -> None:
        """Have shown what goes on with a resource right now."""
        if self._last.get(urn) != message:
            self._last[urn] = message
            self._log(urn, message, engine_pb2.LogSeverity.INFO, ephemeral=True)

    def _log(
        self, urn: str, message: str, severity: engine_pb2.LogSeverity.ValueType, *, ephemeral: bool = False
    ) -> None:
        if self._stub:
            request = engine_pb2.LogRequest(severity=severity, message=message, urn=urn, ephemeral=ephemeral)
            with contextlib.suppress(grpc.RpcError):
                self._stub.Log(request, timeout=5)


class Session:
    """What the operations of one engine share."""

    def __init__(self, engine: Engine, settings: Bag | None = None) -> None:
        self.engine = engine
        self.settings = settings or {}
        self.cancelled = threading.Event()
        self.scopes: dict[tuple[str, str], bool] = {}  # (group, kind) of the program's definitions: namespaced
        self.namespace = self.settings.get("namespace", "")
        self.unreachable = ""  # why, if nobody answers
        self.retry = float(os.environ.get("KUBERNETES_PLUGIN_RETRY", "1"))  # seconds before a first retry
        self.settled = float(os.environ.get("KUBERNETES_PLUGIN_SETTLED", "10"))  # seconds without news of endpoints
        self._cluster: Cluster | None = None
        if settings is not None:
            self._connect()

    def _connect(self) -> None:
        try:
            kubeconfig = load(self.settings.get("kubeconfig", ""))
            self.namespace = self.namespace or namespace_of(kubeconfig, self.settings) or "default"
            self._cluster = Cluster(_configuration(kubeconfig, self.settings))
        except (config.ConfigException, OSError, ValueError, yaml.YAMLError) as fault:
            self.unreachable = f"failed to parse kubeconfig data in `kubernetes:config:kubeconfig`- {fault}"
            self.namespace = self.namespace or ("" if self.settings.get("kubeconfig") else "default")
            return
        try:
            self._cluster.request("GET", "/version")
        except PluginError as fault:
            self.unreachable = f"unable to load schema information from the API server: {fault}"

    def enabled(self, name: str, *, usual: bool = False) -> bool:
        """Tell whether a setting is on."""
        given = self.settings.get(name, os.environ.get(VARIABLES[name]))
        return usual if given in {None, ""} else str(given).lower() == "true"

    @property
    def cluster(self) -> Cluster:
        """The API server.

        Raises:
            PluginError: it cannot be reached.
        """
        if self.unreachable or not self._cluster:
            msg = f"configured Kubernetes cluster is unreachable: {self.unreachable}"
            raise PluginError(msg)
        return self._cluster

    def has(self, thing: Bag) -> bool:
        """Tell whether the API server is there and has this object's kind."""
        try:
            return bool(self.cluster.mapped(thing))
        except PluginError:
            return False

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Poll until the condition holds; False when the time is over or the engine cancels."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline or self.cancelled.wait(POLL):
                return False
        return True


def load(text_or_path: Any) -> Bag:
    """Return a kubeconfig from its text or path; from the environment where none is given."""
    if isinstance(text_or_path, dict):
        return text_or_path
    if not text_or_path:
        usual = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
        merger = KubeConfigMerger(usual)  # type: ignore[no-untyped-call]
        return _plain(merger.config) if merger.config else {}
    path = Path(text_or_path).expanduser() if "\n" not in text_or_path else None
    is_file = path is not None and len(str(path)) < 4096 and path.is_file()
    found = yaml.safe_load(path.read_text() if path and is_file else text_or_path)
    if not isinstance(found, dict):
        msg = "couldn't get version/kind; json parse error: the text is neither a kubeconfig nor the path of one"
        raise ValueError(msg)  # noqa: TRY004 - the text is wrong, not the program
    return _absolute(found, path.parent) if path and is_file else found


def _plain(merged: Any) -> Any:
    """Return what was merged from several files as plain values."""
    value = getattr(merged, "value", merged)
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _absolute(kubeconfig: Bag, folder: Path) -> Bag:
    """Return it with its files named from the root: a kubeconfig names them from its own folder."""
    for kind, key in (("clusters", "cluster"), ("users", "user")):
        for each in kubeconfig.get(kind) or ():
            for name in ("certificate-authority", "client-certificate", "client-key", "tokenFile"):
                if value := (each.get(key) or {}).get(name):
                    each[key][name] = str(folder / value)
    return kubeconfig


def namespace_of(kubeconfig: Bag, settings: Bag) -> str:
    """Return the namespace of the context in use."""
    return str(_context(kubeconfig, settings).get("namespace") or "")


def active_cluster(kubeconfig: Bag, settings: Bag) -> Bag | None:
    """Return the cluster that a configuration points at, None if it points at none."""
    name = settings.get("cluster") or _context(kubeconfig, settings).get("cluster")
    named = {each["name"]: each.get("cluster") for each in kubeconfig.get("clusters") or ()}
    return named.get(name)


def _context(kubeconfig: Bag, settings: Bag) -> Bag:
    name = settings.get("context") or kubeconfig.get("current-context")
    named = {each["name"]: each.get("context") for each in kubeconfig.get("contexts") or ()}
    return named.get(name) or {}


def _configuration(kubeconfig: Bag, settings: Bag) -> Configuration:
    """Return the client's configuration: of the context, with another cluster where one is set."""
    if settings.get("cluster"):
        name = f"chosen-{secrets.token_hex(4)}"
        chosen = {"name": name, "context": _context(kubeconfig, settings) | {"cluster": settings["cluster"]}}
        contexts = [*(kubeconfig.get("contexts") or ()), chosen]
        kubeconfig = {**kubeconfig, "contexts": contexts, "current-context": name}
        settings = {**settings, "context": name}
    made = Configuration()
    config.load_kube_config_from_dict(  # type: ignore[no-untyped-call]
        kubeconfig, context=settings.get("context") or None, client_configuration=made, persist_config=False
    )
    return made
