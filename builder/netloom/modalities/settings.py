"""The base class of the settings of columns and fields."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from netloom.core.plain_json import JsonObject


class Settings(BaseModel):
    """Strictly validated settings. None means that a setting is omitted."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    def plain(self) -> JsonObject:
        """Return the settings that are not omitted, as plain JSON."""
        return self.model_dump(mode="json", exclude_none=True)
