"""How much of a cluster a stack's namespace may ask for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from keelson.settings.model import Settings
from keelson.settings.quantities import Quantity


class QuotaSettings(Settings):
    """What all pods and volumes of the namespace may ask for together; None is without bounds."""

    cpus: Annotated[float, Field(gt=0, le=10_000)] | None = None
    memory: Quantity | None = None
    storage: Quantity | None = None
    pods: Annotated[int, Field(ge=1)] | None = None
