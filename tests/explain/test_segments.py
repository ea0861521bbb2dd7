"""Long series are reported in segments: the same in the sentence, the figure and the CSV."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from netloom.data import FieldSpec
from netloom.explain.core.parts.segments import MAX_SEGMENTS, Segments, segments_of
from netloom.explain.dataset.global_attribution import global_attribution
from netloom.explain.plots import global_plots
from netloom.modalities.encoding.series_fields import SeriesEncoder, SeriesState
from tests.explain.models import network, untrained_run


def segments_for(steps: int, rate: int = 0, channels: int = 1) -> Segments | None:
    state = SeriesState(name="s", encoding="series", shape=[steps, channels], rate=rate, mean=0.0, std=1.0)
    return segments_of(FieldSpec("s", "sequence", (steps, channels)), SeriesEncoder(state))


@pytest.mark.parametrize(
    ("steps", "rate", "first", "last", "begins"),
    [
        (8000, 8000, "0.00–0.02 s", "0.98–1.00 s", (0, 160)),
        (3200, 16000, "0.000–0.005 s", "0.195–0.200 s", (0, 80)),
        (22050, 22050, "0.00–0.02 s", "0.98–1.00 s", (0, 441)),
        (480_000, 8000, "0–1 s", "59–60 s", (0, 8000)),
        (3000, 0, "steps 0–49", "steps 2950–2999", (0, 50)),
        (65, 0, "steps 0–1", "step 64", (0, 2)),
    ],
)
def test_segments_have_round_lengths(steps: int, rate: int, first: str, last: str, begins: tuple[int, int]) -> None:
    segments = segments_for(steps, rate)
    assert segments is not None
    assert (segments.names[0], segments.names[-1]) == (first, last)
    assert segments.starts[:2] == begins
    assert len(set(segments.names)) == len(segments.names) == len(segments.starts) <= MAX_SEGMENTS
    values = np.random.default_rng(0).normal(size=(3, steps, 1))
    np.testing.assert_allclose(segments.summed(values).sum(1), values.sum((1, 2)))


def test_short_or_multichannel_series_has_no_segments() -> None:
    assert segments_for(MAX_SEGMENTS) is None
    assert segments_for(5000, 8000, channels=2) is None


def test_sound_segment_level_is_its_rms() -> None:
    sound, other = segments_for(800, 8000), segments_for(800)
    assert sound is not None
    assert other is not None
    loud = np.where(np.arange(800) < 400, 1.0, 3.0) * np.where(np.arange(800) % 2, -1.0, 1.0)
    assert sound.levels(loud[None, :, None])[0, [0, -1]] == pytest.approx([1.0, 3.0])
    assert other.levels(np.arange(800.0)[None])[0, 0] == pytest.approx(np.arange(other.starts[1]).mean())


def test_linear_sound_attributions_are_summed_per_segment() -> None:
    options: dict[str, Any] = {"rows": 60, "fields": {"sound": {"sound": "waveform"}}}
    run = untrained_run(network("spoken", ("Flatten", {}), ("Linear", {"units": 10}), options=options))
    spec, about = run.data.schema.inputs[0], run.data.fields[0]
    summary = global_attribution(run, "test", target=3, rows=5)
    segments = segments_of(spec, about)
    assert segments is not None
    weights: Any = run.model.get_submodule("linear_1").weight
    x = run.data.inputs[spec.name]
    rows = [row.row for row in summary.rows]
    mean_input = x[run.data.split["train"]].mean(0)
    single = ((x[rows] - mean_input).flatten(1) * weights[3]).detach().double().numpy()
    ends = [*segments.starts[1:], single.shape[1]]
    parts = np.stack([single[:, low:high].sum(1) for low, high in zip(segments.starts, ends, strict=True)], axis=1)

    rows_of_parts: list[dict[str, Any]] = list(summary.table())
    table = {row["part"]: row for row in rows_of_parts}
    assert set(table) == set(segments.names)
    for index, name in enumerate(segments.names):
        assert name.endswith(" s")
        assert table[name]["mean size"] == pytest.approx(np.abs(parts[:, index]).mean(), abs=1e-5)
    best = max(table, key=lambda name: table[name]["mean size"])
    drawn = global_plots.bars(summary.parts).to_plotly_json()["data"][0]
    assert drawn["customdata"][0] == best
    shown = global_plots.profile(summary, spec.name)
    assert tuple(shown.data[0].x) == segments.names
    np.testing.assert_allclose(shown.data[0].y, np.abs(parts).mean(0), atol=1e-5)
    assert all(top.rpartition(" ")[0] in table for row in summary.rows for top in row.top_features)
    assert summary.as_json()["spans"] == {spec.name: segments.names}
