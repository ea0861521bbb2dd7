"""Settings of a document, each of which may be left out."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Settings that are checked strictly. None stands for one that was left out."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    def plain(self) -> dict[str, Any]:
        """The settings that were given, as plain JSON."""
        return self.model_dump(mode="json", exclude_none=True)
