"""What a run costs: seconds of the processor, and energy; measured where codecarbon is installed, else estimated."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from importlib.util import find_spec
from typing import Any

import psutil

from netloom.core.settings import settings
from netloom.store.run_summary import RunSummary

_JOULES = 3.6e6
# codecarbon is imported after the first steps, or it would take them their turns.
LATER_S = 1.5


class Meter:
    """Counts from when it is made. `before` is what the run told before it was interrupted."""

    def __init__(self, before: RunSummary) -> None:
        self._process = psutil.Process()
        self._spent_s = float(before.get("cpu_s") or 0.0)
        self._before_kwh = float(before.get("energy_kwh") or 0.0)
        self._all_measured = not self._before_kwh or bool(before.get("energy_measured"))
        self._start_s = self._seconds()
        self._tracker = _Tracker() if find_spec("codecarbon") else None

    def read(self) -> RunSummary:
        """Seconds of the processor so far, and the energy as an estimate from them."""
        seconds = self._seconds() - self._start_s
        kwh = self._before_kwh + seconds * watts() / _JOULES
        return {"cpu_s": round(self._spent_s + seconds, 2), "energy_kwh": kwh, "energy_measured": False}

    def stop(self) -> RunSummary:
        """The last reading; where codecarbon measured, its own on top of what the run had told before. It counts as
        measured where all of it was: a worker that was killed had no time to ask codecarbon."""
        reading = self.read()
        measured = self._tracker.stop() if self._tracker is not None else None
        if measured is not None:
            reading["energy_kwh"] = self._before_kwh + measured
            reading["energy_measured"] = self._all_measured
        return reading

    def _seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


def watts() -> float:
    """What one busy core is taken to need."""
    return settings.core_watts


def sentence(summary: RunSummary) -> str:
    """The energy of a run in words, and what it comes to; empty where nothing is known."""
    kwh = summary.get("energy_kwh")
    if not isinstance(kwh, float):
        return ""
    amount = f"{kwh * 1000:.3g} Wh" if kwh < 1 else f"{kwh:.3g} kWh"
    gases = f"about {kwh * settings.co2_g_per_kwh:.2g} g CO₂"
    if summary.get("energy_measured"):
        return f"{amount}, measured by codecarbon · {gases} · {_price(kwh)}"
    return f"about {amount}, estimated at {watts():g} W for each busy core · {gases} · {_price(kwh)}"


def _price(kwh: float) -> str:
    """What so much energy costs, in words."""
    cents = kwh * settings.cents_per_kwh
    return f"about {cents:.2g} cents" if cents >= 1 else "less than a cent"


class _Tracker:
    """codecarbon's, which writes no file and asks no network. It looks for two seconds at what the machine has before
    it counts, so that it begins in a thread of its own."""

    def __init__(self) -> None:
        self._tracker: Any = None
        self._began = threading.Event()
        self._missed_s = time.process_time()
        later = threading.Timer(LATER_S, self._begin)
        later.daemon = True
        later.start()

    def stop(self) -> float | None:
        """The kWh of this process; None where they were not measured: the run was short, or codecarbon failed."""
        if not self._began.is_set() or self._tracker is None:
            return None
        with contextlib.suppress(Exception):  # an estimate is no reason to lose a run
            self._tracker.stop()
            measured = float(self._tracker.final_emissions_data.energy_consumed)
            return measured + self._missed_s * watts() / _JOULES
        return None

    def _begin(self) -> None:
        with contextlib.suppress(Exception):  # whatever it finds missing on this machine
            from codecarbon import OfflineEmissionsTracker

            # Its own setting below holds only after its first words, which would stand in the run's log.
            logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
            tracker = OfflineEmissionsTracker(
                country_iso_code=settings.country,
                tracking_mode="process",  # others train on this machine too
                save_to_file=False,
                log_level="critical",
            )
            tracker.start()
            self._missed_s = time.process_time() - self._missed_s
            self._tracker = tracker
            self._began.set()
