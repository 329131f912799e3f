"""Sizes as Kubernetes writes them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Quantity = Annotated[str, Field(pattern=r"^[1-9]\d*(Mi|Gi|Ti)$")]
_UNITS = {"Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def count_quantity(text: str) -> int:
    """Return the number of bytes that a text such as 10Gi stands for."""
    return int(text[:-2]) * _UNITS[text[-2:]]
