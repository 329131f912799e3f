"""Where a cluster's API answers, and as whom it is asked: the kubeconfig, or what a pod is given.

The official client reads all of it (certificates, tokens, the programs that give tokens). It puts certificates and keys in files;
here they lie for a moment in a private directory, so none stays behind a process that is killed.
"""

from __future__ import annotations

import importlib
import logging
import os
import shlex
import ssl
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keelson.errors import PlatformError, SettingsError

if TYPE_CHECKING:
    import urllib3
    from kubernetes.client import Configuration

USUAL = "~/.kube/config"
IN_CLUSTER = "the cluster around it"  # in place of a context's name

_reading = threading.Lock()  # the official client remembers its files in the module


@dataclass(frozen=True)
class Link:
    """How one cluster is reached."""

    context: str
    configuration: Configuration
    tls: ssl.SSLContext
    pool: urllib3.PoolManager
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def server(self) -> str:
        """The address of its API."""
        return str(self.configuration.host)

    @property
    def option(self) -> str:
        """How kubectl is told of the same cluster."""
        return "" if self.context == IN_CLUSTER else f" --context {shlex.quote(self.context)}"

    def headers(self) -> dict[str, str]:
        """Return what says who asks; a token that has expired is got anew."""
        with self._lock, _overheard(self.context):
            token = self.configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        return {"authorization": token} if token else {}


def load(context: str) -> Link:
    """Read how a cluster is reached, without asking it; an empty context is the kubeconfig's current one.

    Raises:
        SettingsError: there is no such context, or no kubeconfig.
        PlatformError: the credentials cannot be had.
    """
    from kubernetes.client import Configuration  # noqa: PLC0415 - slow, and most commands do without
    from kubernetes.config import ConfigException  # noqa: PLC0415

    configuration = Configuration()
    configuration.retries = False  # whoever asks again has a deadline
    with _reading, tempfile.TemporaryDirectory(prefix="keelson-") as directory:
        try:
            found = _read(configuration, context, directory)
            return _link(found, configuration)
        except (
            ConfigException,
            OSError,
            ValueError,
        ) as fault:  # ValueError: a certificate that is none; SSLError is an OSError
            msg = f"the kubeconfig's context {context or 'in use'} cannot be used ({_line(fault)}); correct it, see `kubectl config view`"
            raise SettingsError(msg) from None
        finally:
            _reader()._cleanup_temp_files()  # noqa: SLF001 - else it would name files that are gone


def _read(configuration: Configuration, context: str, directory: str) -> str:
    """Read the kubeconfig, or what a pod is given, and return the context's name."""
    files = os.environ.get("KUBECONFIG") or USUAL
    if not any(Path(file).expanduser().exists() for file in files.split(os.pathsep) if file):
        if context or "KUBERNETES_SERVICE_HOST" not in os.environ:
            msg = f"there is no kubeconfig ({files}), so no cluster is known; write one, or name it in KUBECONFIG"
            raise SettingsError(msg)
        _reader("incluster_config").load_incluster_config(configuration)
        return IN_CLUSTER
    merged = _merged(files)
    name = context or str(merged.config.value.get("current-context") or "")
    _refuse_unknown(name, [str(each["name"]) for each in merged.config.value["contexts"]])
    with _overheard(name):
        _reader().KubeConfigLoader(
            config_dict=merged.config,
            active_context=name,
            config_base_path=None,
            config_persister=merged.save_changes,
            temp_file_path=directory,
        ).load_and_set(configuration)
    return name


def _reader(module: str = "kube_config") -> Any:  # noqa: ANN401 - the official client types it nowhere
    return importlib.import_module(f"kubernetes.config.{module}")


def _merged(files: str) -> Any:  # noqa: ANN401 - the official client types it nowhere
    import yaml  # noqa: PLC0415

    try:
        return _reader().KubeConfigMerger(files)
    except (yaml.YAMLError, AttributeError, TypeError, KeyError) as fault:  # whose text may show what stands there
        mark = getattr(fault, "problem_mark", None)
        where = f"{mark.name} line {mark.line + 1}" if mark else files
        msg = f"the kubeconfig cannot be read: {where} is no kubeconfig; correct it"
        raise SettingsError(msg) from None


def _refuse_unknown(name: str, known: list[str]) -> None:
    if name in known:
        return
    there = f"there are {', '.join(known)}" if known else "there is none"
    wanted = f"has no context {name!r}" if name else "has no current context"
    msg = f"the kubeconfig {wanted}; {there}: correct keelson:kubernetes.context, or run `kubectl config use-context`"
    raise SettingsError(msg)


def _link(context: str, configuration: Configuration) -> Link:
    from kubernetes.client.rest import RESTClientObject  # noqa: PLC0415

    tls = _tls(configuration)
    pool = RESTClientObject(configuration).pool_manager  # which knows of proxies
    options = pool.connection_pool_kw
    for name in ("ca_certs", "cert_file", "key_file", "ca_cert_data"):
        options.pop(name, None)
    options |= {"ssl_context": tls, "maxsize": 32}
    return Link(context, configuration, tls, pool)


def _tls(configuration: Configuration) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not configuration.verify_ssl:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    elif configuration.ssl_ca_cert:
        made.load_verify_locations(configuration.ssl_ca_cert)
    else:
        made.load_default_certs()
    if configuration.cert_file:
        made.load_cert_chain(configuration.cert_file, configuration.key_file)
    return made


@contextmanager
def _overheard(context: str) -> Iterator[None]:
    """Raise PlatformError where the official client logs in place of raising: a program that gives no token."""
    said: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == threading.get_ident():
                said.append(record.getMessage())

    root, ear = logging.getLogger(), Ear(logging.ERROR)
    root.addHandler(ear)
    try:
        yield
    finally:
        root.removeHandler(ear)
    if said:
        msg = f"the credentials of the kubeconfig's context {context} cannot be had ({_line(said[-1])}); run what gives them by hand"
        raise PlatformError(msg)


def _line(said: object) -> str:
    return " ".join(str(said).split())


def proxied(configuration: Configuration, url: str) -> Mapping[str, Any]:
    """Return how a WebSocket gets through the proxy, if there is one."""
    if not (configuration.proxy or configuration.proxy_headers):
        return {}
    ours: Any = importlib.import_module("kubernetes.stream.ws_client")
    options: Mapping[str, Any] = ours.websocket_proxycare({}, configuration, url, {})
    return options
