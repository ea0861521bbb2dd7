"""The cost of a run: CPU seconds, an estimate from them, and the measurement of codecarbon where it is installed."""

from __future__ import annotations

import subprocess
import sys
import time
from importlib.util import find_spec

import pytest

from netloom.runs.resources import energy
from netloom.runs.resources.energy import Meter, sentence
from netloom.store.run_summary import RunSummary


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "find_spec", lambda name: None)
    monkeypatch.setenv("NETLOOM_CORE_WATTS", "36")


def work(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@pytest.mark.usefixtures("alone")
def test_energy_is_estimated_from_cpu_seconds() -> None:
    meter = Meter(RunSummary())
    work(0.1)
    summary = meter.stop()
    assert summary.cpu_s >= 0.09
    assert summary.energy_kwh == pytest.approx(summary.cpu_s * 36 / 3.6e6, abs=0.02 * 36 / 3.6e6)
    assert "estimated at 36 W for each busy core · about " in sentence(summary)
    assert sentence(summary).endswith("g CO₂ · less than a cent")


def test_sentence_converts_energy_to_co2_and_cents(monkeypatch: pytest.MonkeyPatch) -> None:
    summary = RunSummary(energy_kwh=0.5, energy_measured=True)
    monkeypatch.setenv("NETLOOM_CO2_G_PER_KWH", "100")
    monkeypatch.setenv("NETLOOM_CENTS_PER_KWH", "30")
    assert sentence(summary) == "500 Wh, measured by codecarbon · about 50 g CO₂ · about 15 cents"
    monkeypatch.delenv("NETLOOM_CENTS_PER_KWH")
    assert sentence(summary).endswith("about 10 cents"), "at 20 cents for a kWh"
    assert sentence(RunSummary()) == ""


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("measured", [True, False])
def test_resumed_run_adds_to_its_recorded_energy(measured: bool) -> None:
    summary = Meter(RunSummary(cpu_s=100.0, energy_kwh=2.0, energy_measured=measured)).stop()
    assert summary.cpu_s == pytest.approx(100, abs=1)
    assert summary.energy_kwh == pytest.approx(2.0, abs=1e-3)
    assert summary.energy_measured is False


MEASURED = """
import time
from netloom.runs.resources.energy import Meter
for before in ({}, {"energy_kwh": 1.0, "energy_measured": True}, {"energy_kwh": 1.0, "energy_measured": False}):
    start = time.monotonic()
    meter = Meter(before)
    assert time.monotonic() - start < 1, "a run waits for its meter"
    assert meter._tracker._began.wait(60)
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    found = meter.stop()
    print(found["energy_measured"], 0 < found["energy_kwh"] - before.get("energy_kwh", 0) < 0.01)
"""


@pytest.mark.skipif(find_spec("codecarbon") is None, reason="needs the extra energy")
def test_codecarbon_does_not_delay_a_run() -> None:
    result = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=False, timeout=240)
    assert result.stdout.split() == ["True", "True", "True", "True", "False", "True"], result.stderr
