"""How many windows of a series read steps that another part of the split forecasts."""

from __future__ import annotations

from netloom.data.preparation.prepared_data import Prepared
from netloom.data.raw.series import forecast_of


def reach_back_note(data: Prepared) -> str:
    """Return a sentence on the windows that a split keeps because they may reach back; "" if there are none."""
    forecast = forecast_of(data.raw)
    if forecast is None:
        return ""
    split = data.rows
    counts = {name: (count, len(split[name])) for name, count in forecast.reaching_back(split).items() if count}
    if not counts or "train" in counts:  # training that reads other parts, as in a random split, has a warning
        return ""
    listed = " and ".join(f"{count:,} of {rows:,} {name} windows" for name, (count, rows) in counts.items())
    return (
        f"{listed} read steps of the part before them as context. Without that context, as many windows at each border "
        "would be left out. No time step is forecast in two parts."
    )
