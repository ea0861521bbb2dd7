"""Baseline predictors, which ignore the input or repeat a nearby value.

Each returns outputs in the form of the network's, so that the same code computes the metrics of both. They are fitted
on the training rows only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netloom.data.preparation.box_decoding import RARITY, SIDES
from netloom.data.raw.series import Series, forecast_of
from netloom.modalities.encoding.tags import IGNORE

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared

# A bigram table has the square of the vocabulary, 64 MiB of float32 for this size. Above it, unigrams are used.
BIGRAM_VOCABULARY = 4_096
# Limits of the training windows in which a season is searched, and of the training rows whose inputs are read.
SEASON_ROWS, INPUT_ROWS = 2_000, 20_000
# The limit of values that are read for a mean or for frequencies, as rows can be large images or masks.
NUMBERS = 20_000_000
# The cells along a side of the grid of places that objects usually have.
PLACES = 12


@dataclass(frozen=True)
class BaselinePrediction:
    """Outputs (N, …) of a baseline predictor for some rows; `title` is its name."""

    title: str
    output: torch.Tensor


def log_frequencies(labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Return the log frequency of each class (classes,) in the labels (N,), with Laplace smoothing.

    Ignores labels below 0.
    """
    counts = labels[labels >= 0].bincount(minlength=classes).float() + 1
    return (counts / counts.sum()).log()


def majority(data: Prepared, rows: torch.Tensor) -> BaselinePrediction:
    """Return class frequencies as logits (N, classes); the argmax is the majority class."""
    logits = log_frequencies(data.target[data.split["train"]], len(data.schema.target.classes))
    return BaselinePrediction("Majority class", logits.expand(len(rows), -1))


def base_rates(data: Prepared, rows: torch.Tensor) -> BaselinePrediction:
    """Return the log-odds (N, labels) of the frequency of each label in the training rows."""
    target = data.target[data.split["train"]].float()
    rates = (target.reshape(len(target), -1).sum(0) + 1) / (len(target) + 2)  # Laplace smoothing: never exactly 0 or 1
    return BaselinePrediction("Base rate", (rates / (1 - rates)).log().expand(len(rows), -1))


def pixel_majority(data: Prepared, rows: torch.Tensor) -> BaselinePrediction:
    """Return class frequencies as logits (N, classes, H, W) of every pixel."""
    train = _some(data.split["train"], NUMBERS // data.target[0].numel())
    logits = log_frequencies(data.target[train].long(), len(data.schema.target.classes))
    return BaselinePrediction("Majority class", logits[:, None, None].expand(len(rows), -1, *data.target.shape[1:]))


def usual_objects(data: Prepared, rows: torch.Tensor) -> BaselinePrediction:
    """Return the output of a detector (N, classes + 4, cells, cells) that finds the same objects in every image: those
    of each class at the places where it is frequent, with their mean box in each cell."""
    import torch

    classes, cells = len(data.schema.target.classes), PLACES
    train = _some(data.split["train"], NUMBERS // data.target[0].numel())
    objects = data.target[train].flatten(0, 1)
    objects = objects[objects[:, 0] >= 0]
    boxes = objects[:, 1:] * cells
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    column, line = centers.floor().clamp(0, cells - 1).long().unbind(1)
    cell = line * cells + column
    counts = torch.zeros(classes * cells * cells).index_add_(
        0, objects[:, 0].long() * cells * cells + cell, torch.ones(len(objects))
    )
    shares = ((counts + 1) / (len(train) + 2)).clamp(max=1 - 1e-6)  # Laplace smoothing, as some cells have none
    middle = torch.stack([column, line], dim=1) + 0.5
    sides = torch.cat([middle - boxes[:, :2], boxes[:, 2:] - middle], dim=1).clamp(min=1e-3)  # (objects, 4)
    overall = sides.mean(0) if len(sides) else torch.ones(SIDES)
    total = overall[None].repeat(cells * cells, 1).index_add_(0, cell, sides)
    means = total / (1 + torch.bincount(cell, minlength=cells * cells))[:, None]
    output = torch.cat(
        [
            ((shares / (1 - shares)).log() + RARITY).view(classes, cells, cells),
            (means + torch.log(-torch.expm1(-means))).T.reshape(SIDES, cells, cells),  # the inverse of softplus
        ]
    )
    return BaselinePrediction("Usual objects", output.expand(len(rows), -1, -1, -1))


def tag_of_word(data: Prepared, rows: torch.Tensor) -> BaselinePrediction:
    """Return the tag frequencies of each word as logits (N, T, tags); unknown words get the overall frequencies."""
    import torch

    tags, train = len(data.schema.target.classes), _some(data.split["train"], INPUT_ROWS)
    spec = data.schema.inputs[0]
    target, words = data.target[train], data.inputs[spec.name][train]
    mask = target != IGNORE
    shares = log_frequencies(target[mask], tags)
    pairs = words[mask].long() * tags + target[mask]
    counts = torch.bincount(pairs, minlength=(spec.vocabulary or 0) * tags).float().reshape(-1, tags)
    # The shares of all tags count as one more occurrence of each word.
    smoothed = counts + shares.exp()
    table = (smoothed / smoothed.sum(1, keepdim=True)).log()
    return BaselinePrediction("Most frequent tag of each word", table[data.inputs[spec.name][rows].long()])


def next_token(data: Prepared, rows: torch.Tensor) -> BaselinePrediction:
    """Return bigram frequencies as logits (N, T, vocabulary).

    The unigram frequencies count as one more occurrence (a Dirichlet prior: https://doi.org/10.1017/S1351324900000218).
    """
    import torch

    spec, train = data.schema.inputs[0], _some(data.split["train"], INPUT_ROWS)
    size = spec.vocabulary or int(data.target.max()) + 1
    target, tokens = data.target[train].flatten(), data.inputs[spec.name][train].flatten().long()
    shares = log_frequencies(target, size)
    if size > BIGRAM_VOCABULARY:
        return BaselinePrediction("Unigram", shares.expand(len(rows), data.target.shape[1], -1))
    counts = torch.bincount(tokens * size + target, minlength=size * size).float().reshape(size, size) + shares.exp()
    table = (counts / counts.sum(1, keepdim=True)).log()
    return BaselinePrediction("Bigram", table[data.inputs[spec.name][rows].long()])


def token_by_position(data: Prepared, rows: torch.Tensor) -> BaselinePrediction:
    """Return token frequencies at each position of the training targets as logits (N, T, vocabulary)."""
    import torch

    target = data.target[data.split["train"]]
    size = data.schema.inputs[-1].vocabulary or int(data.target.max()) + 1
    frequencies = [log_frequencies(column[column != IGNORE], size) for column in target.unbind(1)]
    return BaselinePrediction("Most frequent token", torch.stack(frequencies).expand(len(rows), -1, -1))


def mean(data: Prepared, rows: torch.Tensor) -> BaselinePrediction:
    """Return the mean (N, k) of the training targets."""
    target = data.target[data.split["train"]].float()
    return BaselinePrediction("Training mean", target.mean(0).expand(len(rows), *target.shape[1:]))


def quantile(data: Prepared, rows: torch.Tensor, title: str, share: float) -> BaselinePrediction:
    """Return a quantile (N, k) of each of the training targets."""
    target = data.target[data.split["train"]].float()
    return BaselinePrediction(title, target.quantile(share, dim=0).expand(len(rows), *target.shape[1:]))


def mean_of(values: torch.Tensor, train: torch.Tensor, rows: torch.Tensor) -> BaselinePrediction:
    """Return the mean (N, …) of `values` (R, …) over the training rows `train`."""
    mean = values[_some(train, min(INPUT_ROWS, NUMBERS // values[0].numel()))].mean(0)
    return BaselinePrediction("Training mean", mean.expand(len(rows), *mean.shape))


def forecast(data: Prepared, rows: torch.Tensor) -> BaselinePrediction | None:
    """Return a forecast (N, numbers) that repeats the last season of each series, or its last value.

    The season is that of the data if it names one; otherwise the one with the lowest training error. Hyndman and
    Athanasopoulos, Forecasting: principles and practice, https://otexts.com/fpp3/simple-methods.html. None if the
    target is not the future of a channel of the series.
    """
    import torch

    known = forecast_of(data.raw)
    if known is None or known.period is None:
        return _searched_forecast(data, rows)
    predicted = torch.from_numpy(known.naive(rows.numpy(), known.period).reshape(len(rows), -1))
    return BaselinePrediction(_naive_title(known.period), _standardized(predicted, data))


def can_forecast(data: Prepared) -> bool:
    """Return whether the target is the future of channels of the series, so that there is a `forecast`."""
    raw, known = data.raw, forecast_of(data.raw)
    if known is not None and known.period is not None:
        return True
    return isinstance(raw, Series) and (known is not None or _forecast_channel(raw) is not None)


def _searched_forecast(data: Prepared, rows: torch.Tensor) -> BaselinePrediction | None:
    """Return the seasonal naive forecast whose season, at most the window, has the lowest training error."""
    import numpy as np
    import torch

    raw = data.raw
    if not isinstance(raw, Series) or not can_forecast(data):
        return None
    known, channel = forecast_of(raw), _forecast_channel(raw)
    channels = list(known.targets) if known is not None else [channel]
    target = raw.target.reshape(len(raw.target), len(channels), -1)
    horizon = target.shape[2]
    some = _some(data.split["train"], SEASON_ROWS).numpy()
    width = raw.windows.shape[1]

    def repeated(places: np.ndarray, season: int) -> np.ndarray:
        steps = width - season + np.arange(horizon) % season  # (horizon,) positions in the last season of the window
        values: np.ndarray = raw.windows[places][:, steps][:, :, channels]
        return values.transpose(0, 2, 1)

    # Series of different units count alike
    units = np.ones(1) if data.forecast_scales is None else data.forecast_scales.deviations
    units = units[:, None] if len(channels) > 1 else np.ones((1, 1))
    errors = {season: (np.abs(repeated(some, season) - target[some]) / units).mean() for season in range(1, width + 1)}
    best = min(errors, key=lambda season: (errors[season], season))  # the shorter season in ties
    predicted = torch.from_numpy(repeated(rows.numpy(), best).reshape(len(rows), -1))
    return BaselinePrediction(_naive_title(best), _standardized(predicted, data))


def _naive_title(season: int) -> str:
    return "Last value" if season == 1 else f"Seasonal naive, period {season}"


def _standardized(values: torch.Tensor, data: Prepared) -> torch.Tensor:
    """Return numbers (N, k) in units of the data as outputs of a network."""
    import torch

    numbers = data.fitted_numbers
    mean, std = (torch.tensor(statistic, dtype=torch.float64) for statistic in (numbers.mean, numbers.std))
    return ((values.double() - mean) / std).float()


def _some(rows: torch.Tensor, most: int) -> torch.Tensor:
    """Return at most `most` of the rows (and at least one), evenly spaced."""
    import torch

    return rows[torch.linspace(0, len(rows) - 1, min(len(rows), max(1, most))).long()]


def _forecast_channel(raw: object) -> int | None:
    """Return the channel of a series whose next values are the target; None if there is none."""
    if not isinstance(raw, Series) or not raw.target_type.is_number or not raw.contiguous or raw.gap == 0:
        return None
    if len(raw.channels) == 1:
        return 0
    name = raw.target_name if raw.target_name in raw.channels else raw.target_name.rpartition(",")[0]
    return raw.channels.index(name) if name in raw.channels else None
