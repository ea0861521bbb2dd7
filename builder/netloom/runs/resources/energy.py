"""The cost of a run: CPU seconds and energy, measured if codecarbon is installed, otherwise estimated."""

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
# codecarbon is imported after the first steps, because the import would slow them down.
LATER_S = 1.5


class Meter:
    """Counts from its creation. `before` is the summary of the run before it was interrupted."""

    def __init__(self, before: RunSummary) -> None:
        self._process = psutil.Process()
        self._spent_s = before.cpu_s
        self._before_kwh = before.energy_kwh or 0.0
        self._all_measured = not self._before_kwh or before.energy_measured
        self._start_s = self._seconds()
        self._tracker = _Tracker() if find_spec("codecarbon") else None

    def read(self) -> RunSummary:
        """Return the CPU seconds so far, and an estimate of the energy from them."""
        seconds = self._seconds() - self._start_s
        kwh = self._before_kwh + joules(seconds) / _JOULES
        return RunSummary(cpu_s=round(self._spent_s + seconds, 2), energy_kwh=kwh, energy_measured=False)

    def stop(self) -> RunSummary:
        """Return the last reading. If codecarbon measured, its energy is added to that before the interruption. The
        total counts as measured only if all parts were; a killed worker has no measurement."""
        reading = self.read()
        measured = self._tracker.stop() if self._tracker is not None else None
        if measured is None:
            return reading
        total = RunSummary(energy_kwh=self._before_kwh + measured, energy_measured=self._all_measured)
        return reading.merged(total)

    def _seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


def watts() -> float:
    """Return the assumed power of a busy core, in watts."""
    return settings.core_watts


def joules(cpu_s: float) -> float:
    """Return an estimate of the energy that some seconds of processor time take, in joules."""
    return cpu_s * watts()


def sentence(summary: RunSummary) -> str:
    """Return the energy of a run and its cost in words; "" if it is unknown."""
    kwh = summary.energy_kwh
    if kwh is None:
        return ""
    amount = f"{kwh * 1000:.3g} Wh" if kwh < 1 else f"{kwh:.3g} kWh"
    gases = f"about {kwh * settings.co2_g_per_kwh:.2g} g CO₂"
    if summary.energy_measured:
        return f"{amount}, measured by codecarbon · {gases} · {_price(kwh)}"
    return f"about {amount}, estimated at {watts():g} W for each busy core · {gases} · {_price(kwh)}"


def _price(kwh: float) -> str:
    """Return the price of an amount of energy in words."""
    cents = kwh * settings.cents_per_kwh
    return f"about {cents:.2g} cents" if cents >= 1 else "less than a cent"


class _Tracker:
    """The tracker of codecarbon, without files and network access. It inspects the machine for two seconds before it
    counts, so it starts in a thread of its own."""

    def __init__(self) -> None:
        self._tracker: Any = None
        self._began = threading.Event()
        self._missed_s = time.process_time()
        later = threading.Timer(LATER_S, self._begin)
        later.daemon = True
        later.start()

    def stop(self) -> float | None:
        """Return the energy of this process in kWh; None if it was not measured, because the run was short or
        codecarbon failed."""
        if not self._began.is_set() or self._tracker is None:
            return None
        with contextlib.suppress(Exception):  # a failed measurement must not end the run
            self._tracker.stop()
            measured = float(self._tracker.final_emissions_data.energy_consumed)
            return measured + joules(self._missed_s) / _JOULES
        return None

    def _begin(self) -> None:
        with contextlib.suppress(Exception):  # codecarbon can fail in many ways, depending on the machine
            from codecarbon import OfflineEmissionsTracker

            # The setting below applies only after its first messages, which would be written to the log of the run.
            logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
            tracker = OfflineEmissionsTracker(
                country_iso_code=settings.country,
                tracking_mode="process",  # other runs train on this machine, too
                save_to_file=False,
                log_level="critical",
            )
            tracker.start()
            self._missed_s = time.process_time() - self._missed_s
            self._tracker = tracker
            self._began.set()
