"""What a run costs: seconds of the processor, and energy; measured where codecarbon is installed, else estimated."""

from __future__ import annotations

import contextlib
import os
from importlib.util import find_spec
from typing import Any

import psutil

# What one busy core of a server takes, with its share of memory and losses; NETLOOM_CORE_WATTS says otherwise.
CORE_WATTS = 12.0
_JOULES = 3.6e6


class Meter:
    """Counts from when it is made. `before` is what the run told before it was interrupted."""

    def __init__(self, before: dict[str, Any]) -> None:
        self._process = psutil.Process()
        self._spent_s = float(before.get("cpu_s") or 0.0)
        self._before = before.get("energy_kwh") if before.get("energy_measured") else None
        self._start_s = self._seconds()
        self._tracker = _tracker()

    def read(self) -> dict[str, Any]:
        """Seconds of the processor so far, and the energy as an estimate from them."""
        seconds = self._spent_s + self._seconds() - self._start_s
        return {"cpu_s": round(seconds, 2), "energy_kwh": seconds * watts() / _JOULES, "energy_measured": False}

    def stop(self) -> dict[str, Any]:
        """The last reading; where codecarbon measured, its own."""
        found = self.read()
        if self._tracker is not None:
            with contextlib.suppress(Exception):  # an estimate is no reason to lose a run
                self._tracker.stop()
                measured = float(self._tracker.final_emissions_data.energy_consumed)
                found |= {"energy_kwh": measured + float(self._before or 0.0), "energy_measured": True}
        return found

    def _seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


def watts() -> float:
    """What one busy core is taken to need."""
    try:
        return max(0.0, float(os.environ["NETLOOM_CORE_WATTS"]))
    except (KeyError, ValueError):
        return CORE_WATTS


def sentence(summary: dict[str, Any]) -> str:
    """The energy of a run in words; empty where nothing is known."""
    kwh = summary.get("energy_kwh")
    if not isinstance(kwh, float):
        return ""
    amount = f"{kwh * 1000:.3g} Wh" if kwh < 1 else f"{kwh:.3g} kWh"
    if summary.get("energy_measured"):
        return f"{amount}, measured by codecarbon"
    return f"about {amount}, estimated at {watts():g} W for each busy core"


def _tracker() -> Any:
    """codecarbon's, where it is installed; it writes no file and asks no network."""
    if find_spec("codecarbon") is None:
        return None
    try:
        from codecarbon import OfflineEmissionsTracker

        country = os.environ.get("NETLOOM_COUNTRY", "USA")
        tracker = OfflineEmissionsTracker(country_iso_code=country, save_to_file=False, log_level="critical")
        tracker.start()
    except Exception:  # whatever it finds missing on this machine
        return None
    return tracker
