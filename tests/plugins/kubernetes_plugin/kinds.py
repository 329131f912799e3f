"""What the SDK and Kubernetes itself say about kinds, whether or not a cluster answers."""

from __future__ import annotations

import functools
import importlib
import typing

from plugin.shapes import Shape, shape_of
from pulumi import _types
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.provider import ProviderArgs

from .cluster import PluginError

# What the official plugin reads and the SDK does not have, and what the engine adds.
OTHER_SETTINGS = frozenset({"strictMode", "rejectUnknownResources", "version", "pluginDownloadURL", "pluginChecksums"})
CLUSTER_SCOPED = frozenset(
    """
    APIService CSIDriver CSINode CertificateSigningRequest ClusterRole ClusterRoleBinding ClusterTrustBundle
    ComponentStatus CustomResourceDefinition DeviceClass DeviceTaintRule FlowSchema IPAddress IngressClass
    MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration Namespace Node PersistentVolume
    PriorityClass PriorityLevelConfiguration ResourceSlice RuntimeClass SelfSubjectAccessReview SelfSubjectReview
    SelfSubjectRulesReview ServiceCIDR StorageClass StorageVersionMigration SubjectAccessReview TokenReview
    ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration VolumeAttachment
    VolumeAttributesClass
    """.split()  # noqa: SIM905 - a table of names
)


def settings() -> frozenset[str]:
    """Return the names that a provider's configuration may have."""
    return frozenset(shape_of(ProviderArgs).fields) | OTHER_SETTINGS


def of_token(token: str) -> tuple[str, str]:
    """Return apiVersion and kind of a resource type's token.

    Raises:
        PluginError: the stand-in does not have this type.
    """
    package, module, kind = token.split(":")
    group, _, version = module.partition("/")
    if package != "kubernetes" or not version or group == "helm.sh" or kind in {"ConfigGroup", "ConfigFile"}:
        msg = f"the stand-in for the Kubernetes plugin has the kinds of the API and custom resources, and not {token}"
        raise PluginError(msg)
    return (version if group == "core" else module), kind


@functools.cache
def arguments_of(api_version: str, kind: str) -> type | None:
    """Return the SDK's class of a built-in kind's inputs, None for a custom resource."""
    group, _, version = api_version.rpartition("/")
    try:
        module = importlib.import_module(f"pulumi_kubernetes.{(group or 'core').partition('.')[0]}.{version}")
    except ImportError:
        return None
    found = getattr(module, f"{kind}InitArgs", None) or getattr(module, f"{kind}Args", None)
    annotation = _types.input_type_types(found).get("apiVersion") if found else None
    return found if annotation and api_version in typing.get_args(annotation) else None


def shape(api_version: str, kind: str) -> Shape | None:
    """Return the shape of a built-in kind's inputs."""
    found = arguments_of(api_version, kind)
    return shape_of(found) if found else None


def metadata_shape() -> Shape:
    """Return the shape of any object's metadata."""
    return shape_of(ObjectMetaArgs)
