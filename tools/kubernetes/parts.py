"""The programs that run in a test cluster's namespaces, with the files that they read."""

from __future__ import annotations

import json
import sys

from keelson import paths
from tools.kubernetes import images, programs
from tools.kubernetes.certificates import Authority
from tools.kubernetes.place import (
    API_SERVICE,
    DNS_SERVICE,
    GATEWAY,
    INSIDE,
    NODE,
    PODS,
    PORT,
    SERVICES,
    Place,
)
from tools.machine.places import PROJECT

ETCD = "http://127.0.0.1:2379"
CONTAINERD = "/run/containerd/containerd.sock"
SETTLED = "0%"  # of free disk or memory below which the kubelet evicts pods: never, the machine is shared
COMPONENTS = {  # the subject of each part's certificate
    "controller-manager": "system:kube-controller-manager",
    "scheduler": "system:kube-scheduler",
    "proxy": "system:kube-proxy",
}


def write(place: Place) -> None:
    """Write certificates, kubeconfigs and configuration into the cluster's directory."""
    keys = Authority.make(place.directory / "pki")
    hosts = (place.address, API_SERVICE, "127.0.0.1", "localhost", "kubernetes", "kubernetes.default.svc")
    keys.issue("api", "kube-apiserver", hosts=(*hosts, "kubernetes.default", "kubernetes.default.svc.cluster.local"))
    keys.issue("api-client", "kube-apiserver-kubelet-client", "system:masters")
    keys.issue("node", f"system:node:{NODE}", "system:nodes", hosts=(NODE, place.address))
    keys.issue("admin", "admin", "system:masters")
    keys.kubeconfig(place.directory / "node.kubeconfig", "node", place.server)
    for name, subject in COMPONENTS.items():
        keys.issue(name, subject)
        keys.kubeconfig(place.directory / f"{name}.kubeconfig", name, place.server)
    keys.kubeconfig(place.kubeconfig, "admin", place.server)
    paths.private_directory(place.logs)
    if place.level == "node":
        _write_node(place)


def _write_node(place: Place) -> None:
    paths.write_private(place.directory / "kubelet.json", json.dumps(_kubelet(), indent=2))
    paths.write_private(
        place.directory / "containerd.toml", CONTAINERD_TEXT.format(socket=CONTAINERD, pause=images.pause())
    )
    paths.write_private(place.directory / "resolv.conf", "")
    paths.private_directory(place.directory / "cni")
    paths.write_private(place.directory / "cni" / "10-bridge.conflist", json.dumps(NETWORK, indent=2))


CONTAINERD_TEXT = """\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "/run/cluster/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"""

NETWORK = {
    "cniVersion": "0.4.0",
    "name": "pods",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "pods0",
            "isGateway": True,
            "ipMasq": False,
            "hairpinMode": True,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}]},
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}


def _kubelet() -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{INSIDE}/pki/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{INSIDE}/pki/node.crt",
        "tlsPrivateKeyFile": f"{INSIDE}/pki/node.key",
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{INSIDE}/resolv.conf",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD}",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "localStorageCapacityIsolation": False,
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "evictionHard": {"memory.available": SETTLED, "nodefs.available": SETTLED, "imagefs.available": SETTLED},
        "imageGCHighThresholdPercent": 100,
        "serializeImagePulls": False,
        "oomScoreAdj": 0,
    }


def store() -> list[str]:
    """Return etcd's command; nothing of it is to survive a power cut."""
    words = f"--data-dir {INSIDE}/etcd --listen-client-urls {ETCD} --advertise-client-urls {ETCD} --unsafe-no-fsync"
    peers = "--listen-peer-urls http://127.0.0.1:2380 --log-level warn"
    return _words("etcd", f"{words} {peers}")


def api(place: Place) -> list[str]:
    """Return the API server's command."""
    pki = f"{INSIDE}/pki"
    return _words(
        "kube-apiserver",
        f"""
        --etcd-servers={ETCD} --secure-port={PORT} --advertise-address={place.address}
        --tls-cert-file={pki}/api.crt --tls-private-key-file={pki}/api.key --client-ca-file={pki}/ca.crt
        --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true
        --service-cluster-ip-range={SERVICES} --kubelet-preferred-address-types=InternalIP
        --kubelet-client-certificate={pki}/api-client.crt --kubelet-client-key={pki}/api-client.key
        --kubelet-certificate-authority={pki}/ca.crt
        --service-account-issuer=https://kubernetes.default.svc.cluster.local
        --service-account-key-file={pki}/accounts.key --service-account-signing-key-file={pki}/accounts.key
        """,
    )


def controllers(place: Place) -> dict[str, list[str]]:
    """Return the commands of what works through the API, by name; a node's only where there is one."""
    pki = f"{INSIDE}/pki"
    manager = f"""
        --leader-elect=false --use-service-account-credentials=true --root-ca-file={pki}/ca.crt
        --service-account-private-key-file={pki}/accounts.key
        --cluster-signing-cert-file={pki}/ca.crt --cluster-signing-key-file={pki}/ca.key
        --flex-volume-plugin-dir=/var/lib/kubelet/volume-plugins
    """
    found = {
        "kube-controller-manager": _words("kube-controller-manager", f"{_client('controller-manager')} {manager}"),
        "kube-scheduler": _words("kube-scheduler", f"{_client('scheduler')} --leader-elect=false"),
        "storage": [sys.executable, "-m", "tools.kubernetes.storage", str(place.directory)],
    }
    return found if place.level == "api" else found | _node(place)


def _node(place: Place) -> dict[str, list[str]]:
    kubelet = f"""
        --config={INSIDE}/kubelet.json --kubeconfig={INSIDE}/node.kubeconfig
        --hostname-override={NODE} --node-ip={place.address}
    """
    proxy = f"""
        --kubeconfig={INSIDE}/proxy.kubeconfig --hostname-override={NODE} --cluster-cidr={PODS} --proxy-mode=iptables
        --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0s --conntrack-tcp-timeout-close-wait=0s
        --oom-score-adj=0
    """
    return {"kubelet": _words("kubelet", kubelet), "kube-proxy": _words("kube-proxy", proxy)}


def runtime() -> list[str]:
    """Return containerd's command."""
    return ["containerd", "--config", f"{INSIDE}/containerd.toml", "--log-level", "warn"]


def _client(name: str) -> str:
    file = f"{INSIDE}/{name}.kubeconfig"
    return f"--kubeconfig={file} --authentication-kubeconfig={file} --authorization-kubeconfig={file}"


def _words(name: str, text: str) -> list[str]:
    return [str(programs.path(name)), *text.split()]


def objects(place: Place) -> list[dict[str, object]]:
    """Return the objects that a new cluster gets: a StorageClass, and with a node the names of services."""
    directory = PROJECT / "tools" / "kubernetes" / "objects"
    names = ["storage.json", *(["dns.json"] if place.level == "node" else [])]
    found: list[dict[str, object]] = []
    for name in names:
        text = (directory / name).read_text()
        for key, value in {"$IMAGE": images.coredns(), "$ADDRESS": DNS_SERVICE, "$GATEWAY": GATEWAY}.items():
            text = text.replace(key, value)
        found += json.loads(text)
    return found
