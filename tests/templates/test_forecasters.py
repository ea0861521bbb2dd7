"""Networks of the gallery adapted to forecasts of several columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from netloom.core.plain_json import JsonObject
from netloom.data import add_file, prepare
from netloom.document import DataChoice
from netloom.templates import templates
from netloom.templates.starting import fit
from netloom.validation import analyze


@pytest.mark.parametrize(("targets", "horizon"), [(["b"], 1), (["b", "a"], 1), (["c", "a"], 5)])
@pytest.mark.parametrize("name", ["station_dlinear", "sine", "sine_tcn"])
def test_forecasters_adapt_to_series_and_horizon(home: Path, name: str, targets: list[str], horizon: int) -> None:
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(120, 3)), columns=list("abc"))
    table.insert(0, "time", pd.date_range("2024-01-01", periods=120, freq="h"))
    options: JsonObject = {"target": targets, "horizon": horizon, "window": 30}
    info = add_file(table.to_csv(index=False).encode(), "t.csv", home, kind="series", options=options)
    choice = DataChoice(dataset=info.name)
    fitted = fit(templates()[name].project, choice, "Forecast", home)
    assert fitted is not None
    analysis = analyze(fitted.project, prepare(choice, home).schema)
    assert not analysis.errors
    layers = [node.type for node in fitted.project.main_network.nodes.values()]
    assert layers.count("Linear") == sum(
        node.type == "Linear" for node in templates()[name].project.main_network.nodes.values()
    )


def test_dlinear_keeps_each_series_apart(home: Path) -> None:
    import torch

    from netloom.compile import module, source

    project = templates()["station_dlinear"].project
    model = module(source(project)).eval()
    windows = torch.randn(4, 48, 3)
    changed = windows.clone()
    changed[:, :, 1] += 1
    with torch.no_grad():
        moved = (model(changed) - model(windows)).abs().reshape(4, 3, 6).sum((0, 2))
    assert moved[0] == moved[2] == 0
    assert moved[1] > 0
