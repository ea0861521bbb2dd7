"""The base class of the settings of columns and fields."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Strictly validated settings. None means that a setting is omitted."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    def plain(self) -> dict[str, Any]:
        """Return the settings that are not omitted, as plain JSON."""
        return self.model_dump(mode="json", exclude_none=True)
