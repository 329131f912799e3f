"""What a stack of the target `kubernetes` says of its cluster."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from keelson.settings.external import ExternalSecretsSettings
from keelson.settings.images import ImagesSettings
from keelson.settings.instances import OperatorSettings
from keelson.settings.model import Namespace
from keelson.settings.monitoring import MonitoringSettings
from keelson.settings.quantities import Quantity
from keelson.settings.quota import QuotaSettings


class KubernetesSettings(ImagesSettings):
    """The cluster, the stack's namespace, its volumes, and who may reach its servers."""

    context: Annotated[str, Field(pattern=r"^\S+$")] | None = None  # of the kubeconfig; None: the current one
    namespace: Namespace | None = None  # None: the stack's key
    storage_class: str | None = None  # None: the cluster's default
    storage: Quantity = "10Gi"  # of each volume whose part says nothing else
    backup_storage: Quantity = "20Gi"
    workloads: Literal["pulumi", "handover", "gitops"] = (
        "pulumi"  # who applies the objects that `keelson render` writes
    )
    ha: bool = False  # whether servers and Redis have several instances
    instances: Annotated[int, Field(ge=2, le=9)] = 3  # of those that have
    quota: QuotaSettings = QuotaSettings()
    external_secrets: ExternalSecretsSettings | None = None
    synchronous: Annotated[int, Field(ge=0, le=8)] = 1  # how many further ones must have a server's commit
    wal_storage: Quantity = "5Gi"  # of each volume that holds the log of such a server
    operator: OperatorSettings = OperatorSettings()
    pull_secrets: tuple[str, ...] = ()  # of the namespace, for a private registry
    clients: dict[Namespace, tuple[str, ...]] = Field(
        default_factory=dict
    )  # whose pods may connect, and to which services
    monitoring: MonitoringSettings | None = None  # None: nobody is given figures
