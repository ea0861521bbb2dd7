"""The prediction of a run for one input, drawn by the kind of its decoding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from netloom.core.text import escape, number
from netloom.data.boxes import objects_text, predicted_objects
from netloom.data.images import channels_last
from netloom.data.tables.raw_rows import summarize_warnings
from netloom.modalities.encoding.cells import RawRow
from netloom.ui.components.charts.charts import described
from netloom.ui.components.charts.share_bars import share_bars
from netloom.ui.components.examples.example_panels import legend, overlaid, painted, tagged
from netloom.ui.components.examples.image_urls import enlarged
from netloom.ui.components.examples.object_boxes import show_objects
from netloom.ui.explain.headline import visible
from netloom.ui.playground.series import forecast_chart, is_forecast
from netloom.ui.playground.state import Key

if TYPE_CHECKING:
    from netloom.runs.prediction.live_prediction import LivePrediction
    from netloom.ui.explain.open_run import OpenRun

MAX_BARS = 10
LONG_TEXT = 400
MASK_OPACITY = 0.55
IMAGE_WIDTH, OBJECTS_WIDTH = 260, 420
SIDES = ("left", "top", "right", "bottom")


@dataclass(frozen=True)
class Shown:
    """A prediction and the input that it is for; `answer` and `decoding` are those of one of several outputs, too."""

    prediction: LivePrediction
    answer: Mapping[str, Any]
    decoding: Mapping[str, Any]
    trained: OpenRun
    raw: RawRow
    name: str = ""

    @property
    def field(self) -> Any:
        """The encoder of the first field that the network reads."""
        return self.trained.data.field(self.trained.fields[0])


def show_result(prediction: LivePrediction, trained: OpenRun, raw: RawRow) -> None:
    """Draw the prediction for a raw row."""
    _draw(Shown(prediction, prediction.answer, prediction.decoding, trained, raw))
    for sentence in summarize_warnings([prediction.answer]):
        st.warning(escape(sentence), icon=":material/help:")


def _draw(shown: Shown) -> None:
    VIEWS[shown.decoding["kind"]](shown)
    _calibration(shown)


def _calibration(shown: Shown) -> None:
    """Draw what the calibration of the run adds to the prediction."""
    answer = shown.answer
    if answer.get("abstained"):
        st.warning(f"**Abstained**: {escape(answer['reason'])}", icon=":material/do_not_disturb_on:")
    parts = {"Confidence": f"{answer['confidence']:.1%}"} if "confidence" in answer else {}
    if "familiarity" in answer:
        parts["Familiarity"] = number(answer["familiarity"])
    if "prediction_set" in answer:
        parts["Prediction set"] = ", ".join(answer["prediction_set"])
    if parts:
        texts = " · ".join(f"{name}: **{escape(text)}**" for name, text in parts.items())
        st.markdown(texts, help="By the calibration of this run, which the Runs page measures and applies.")
    if "interval" in answer:
        _interval(shown, answer["interval"])


def _interval(shown: Shown, interval: Mapping[str, Any]) -> None:
    """Draw the interval around each predicted number."""
    title = f"Interval with {interval['coverage']:.0%} coverage"
    lows, highs = (_numbers_by_name(shown, interval[key]) for key in ("low", "high"))
    if len(lows) == 1:
        [low], [high] = lows.values(), highs.values()
        st.markdown(f"{title}: **{number(low)}** to **{number(high)}**")
        return
    st.markdown(f"{title}:")
    rows = [{"number": name, "low": value, "high": highs[name]} for name, value in lows.items()]
    st.dataframe(rows, hide_index=True)


def _numbers_by_name(shown: Shown, value: Any) -> dict[str, float]:
    """Return predicted numbers by name, those of a forecast with their step."""
    named: dict[str, float] = {}
    for name, part in _number_names(shown, value).items():
        steps = part if isinstance(part, list) else [part]
        named |= {f"{name}, step {step}" if len(steps) > 1 else name: item for step, item in enumerate(steps, 1)}
    return named


def _headline(text: str, sure: float | None = None) -> None:
    """Draw the prediction in large letters, with its probability."""
    share = f" :gray-badge[{sure:.1%}]" if sure is not None else ""
    st.markdown(f"### {escape(visible(text)[:LONG_TEXT]) or '(empty)'}{share}")


def _class(shown: Shown) -> None:
    predicted, shares = shown.answer["prediction"], shown.answer["probabilities"]
    _headline(predicted, shares[predicted])
    share_bars(_largest(shares), chosen=(predicted,))
    if "threshold" in shown.answer:
        second = list(shares)[1]
        st.caption(
            f"{escape(second)} is predicted if its probability is above {shown.answer['threshold']:.3f}, a "
            "threshold that was chosen on the validation rows."
        )


def _labels(shown: Shown) -> None:
    chosen, shares = shown.answer["prediction"], shown.answer["probabilities"]
    _headline(", ".join(chosen) or "No label")
    limits = dict(zip(shown.decoding["classes"], shown.decoding["thresholds"], strict=True))
    share_bars(_largest(shares), chosen=tuple(chosen), limits=limits)
    st.caption("A label applies if its probability is above its threshold, the mark on its bar.")


def _next_token(shown: Shown) -> None:
    shares = shown.answer["probabilities"]
    _headline(f"Next: {visible(shown.answer['prediction'])}", shares[shown.answer["prediction"]])
    share_bars({visible(name): share for name, share in shares.items()}, chosen=(visible(shown.answer["prediction"]),))


def _text(shown: Shown) -> None:
    _headline(shown.answer["prediction"])


def _number(shown: Shown) -> None:
    data, value = shown.trained.data, shown.answer["prediction"]
    if not shown.name and is_forecast(data):
        forecast_chart(shown.field, data.schema, shown.raw, value, shown.trained.run.id)
        return
    names = _number_names(shown, value)
    for name, part in names.items():
        st.metric(name, number(part))
    st.caption("In the unit of the column in the data.")


def _number_names(shown: Shown, value: Any) -> dict[str, Any]:
    """Return the predicted numbers by name; those of several series are a list for each of them."""
    if isinstance(value, dict):
        return value
    target = shown.trained.data.schema.target
    if not isinstance(value, list):
        return {shown.name or target.name: value}
    return dict(zip(target.number_names, value, strict=True))


def _mask(shown: Shown) -> None:
    classes = np.array(shown.answer["prediction"])
    shares = {name: share for name, share in shown.answer["shares"].items() if share}
    _headline(", ".join(f"{name} {share:.0%}" for name, share in _largest(shares, 4).items()))
    image = _image(shown.field, shown.raw)
    base = np.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else image
    # The first class is the background, where the image is shown as it is.
    opacity = np.where(classes > 0, MASK_OPACITY, 0.0)[:, :, None]
    left, right = st.columns(2)
    left.image(enlarged(base * (1 - opacity) + painted(classes) * opacity), width="stretch", alt="Mask over the image")
    right.image(enlarged(painted(classes)), width="stretch", alt="Class of each pixel")
    legend(shown.answer["classes"])


def _boxes(shown: Shown) -> None:
    answer = shown.answer
    objects = predicted_objects(answer["prediction"], shown.decoding["classes"])
    _headline(objects_text(item.name for item in objects) if objects else "No object")
    image = _image(shown.field, shown.raw)
    show_objects(image, objects, "Predicted objects", width=OBJECTS_WIDTH)
    limit = f"{answer['threshold']:.1%}"
    if not objects:
        st.caption(f"No object has a score above {limit}, the threshold that was chosen on the validation rows.")
        return
    height, width = image.shape[:2]
    rows = [
        {
            "class": item.name,
            "score": item.score,
            **{name: side * size for name, side, size in zip(SIDES, item.box, (width, height) * 2, strict=True)},
        }
        for item in objects
    ]
    score = st.column_config.ProgressColumn(min_value=0, max_value=1, format="percent", width=90)
    # All sides are visible when two runs are side by side
    sides = dict.fromkeys(SIDES, st.column_config.NumberColumn(format="%.1f", width=50))
    st.dataframe(rows, hide_index=True, column_config={"score": score, **sides})
    st.caption(
        f"Boxes in pixels of the image of {width} × {height}, from its upper left corner. Objects with a score above "
        f"{limit} are predicted; this threshold was chosen on the validation rows."
    )


def _tags(shown: Shown) -> None:
    tags = shown.answer.get("tags") or shown.answer["prediction"]
    words = shown.field.readable(shown.field.raw_value(shown.raw))[: len(tags)]
    tagged(words, tags)
    entities = [
        {"entity": entity["kind"], "text": " ".join(words[entity["first"] : entity["last"] + 1])}
        for entity in shown.answer["entities"]
    ]
    if entities:
        st.dataframe(entities, hide_index=True)
    else:
        st.caption("No entity.")


def _class_and_tags(shown: Shown) -> None:
    _class(shown)
    _tags(shown)


def _several(shown: Shown) -> None:
    for part in shown.decoding["parts"]:
        st.markdown(f"**{escape(part['name'])}**")
        answer = shown.answer["outputs"][part["name"]]
        _draw(Shown(shown.prediction, answer, part, shown.trained, shown.raw, part["name"]))


def _reconstruction(shown: Shown) -> None:
    answer, data = shown.answer, shown.trained.data
    error = float(answer.get("error", float("nan")))
    if "threshold" in answer:
        _headline("Anomalous" if error > answer["threshold"] else "Normal")
        st.caption(f"Reconstruction error {number(error)}; an input is anomalous above {number(answer['threshold'])}.")
    else:
        _headline(f"Reconstruction error {number(error)}")
        st.caption("The mean squared error, in standard deviations of the training rows.")
    field, after = data.fields[0], shown.prediction.reconstruction
    if data.schema.inputs[0].is_image:
        pictures = {"Input": _image(field, shown.raw), "Reconstruction": _image(field, {field.name: after})}
        for column, (title, image) in zip(st.columns(2), pictures.items(), strict=True):
            column.image(enlarged(image), width="stretch", alt=title)
            column.caption(title)
    elif field.columns:
        rows = [
            {"column": name, "input": str(shown.raw.get(name)), "reconstruction": str(value)}
            for name, value in after.items()
        ]
        st.dataframe(rows, hide_index=True)
    else:
        before = np.asarray(field.raw_value(shown.raw), dtype=np.float64).reshape(field.shape)
        figure = overlaid(before, np.asarray(after, dtype=np.float64))
        figure.update_layout(height=260)
        key = Key.PLOT.of(shown.trained.run.id)
        alt = described(figure, "the input and its reconstruction")
        st.plotly_chart(figure, width="stretch", config={"displayModeBar": False}, key=key, alt=alt)
        st.caption("Indigo: input. Orange: reconstruction.")


def _pair(shown: Shown) -> None:
    distance, limit = shown.answer["distance"], shown.answer["threshold"]
    _headline(shown.answer["prediction"])
    top = max(distance, limit) * 1.25 or 1.0
    share_bars({"Distance": distance / top}, limits={"Distance": limit / top}, texts={"Distance": number(distance)})
    st.caption(
        f"The distance of the two embeddings. Below {number(limit)}, the mark on the bar, a pair is predicted "
        f"{escape(shown.decoding['classes'][1])}; the threshold was chosen on the validation rows."
    )


def _action(shown: Shown) -> None:
    answer = shown.answer
    _headline(answer["prediction"])
    if "probabilities" in answer:
        share_bars(answer["probabilities"], chosen=(answer["prediction"],))
        return
    values: Mapping[str, float] = answer["values"]
    top = max(map(abs, values.values())) or 1.0
    share_bars(
        {name: max(value, 0) / top for name, value in values.items()},
        chosen=(answer["prediction"],),
        texts={name: number(value) for name, value in values.items()},
    )
    st.caption("The return that the agent expects of each action.")


def _embedding(shown: Shown) -> None:
    import plotly.graph_objects as go

    values: Sequence[float] = shown.answer["prediction"]
    _headline(f"Embedding of {len(values)} numbers")
    figure = go.Figure(go.Bar(y=list(values), marker_color="#6366f1"))
    figure.update_layout(height=220, margin={"l": 8, "r": 8, "t": 8, "b": 8}, xaxis_title="Dimension")
    key, alt = Key.PLOT.of(shown.trained.run.id), described(figure, "embedding")
    st.plotly_chart(figure, width="stretch", config={"displayModeBar": False}, key=key, alt=alt)
    st.caption("Similar inputs have embeddings close to each other. Compare with another input to see the change.")


def _score(shown: Shown) -> None:
    item = shown.trained.data.schema.inputs[1].name
    st.metric(f"Score of {escape(str(shown.raw.get(item, 'the item'))[:60])}", number(shown.answer["prediction"]))
    items = shown.prediction.items
    if not items:
        return
    st.markdown("**Items with the highest scores for this user**")
    rows = [{"rank": rank, "item": item.name, "score": item.score} for rank, item in enumerate(items, 1)]
    st.dataframe(rows, hide_index=True, column_config={"score": st.column_config.NumberColumn(format="%.4g")})
    st.caption("Only the order of scores matters. Items that the user knows already are in the list, too.")


def _generated(shown: Shown) -> None:
    st.image(enlarged(_scaled(shown.answer["prediction"], shown)), width=IMAGE_WIDTH, alt="Generated image")


def _scaled(value: Any, shown: Shown) -> np.ndarray:
    image: np.ndarray = np.asarray(value, dtype=np.float64) * shown.decoding["field"]["scale"]
    return channels_last(image)


def _image(field: Any, raw: RawRow) -> np.ndarray:
    """Return an image of a raw row as (H, W) or (H, W, 3), with values from 0 to 1."""
    return np.asarray(field.shown(raw)["image"], dtype=np.float64).clip(0, 1)


def _largest(shares: Mapping[str, float], most: int = MAX_BARS) -> dict[str, float]:
    """Return the largest shares, in descending order."""
    return dict(sorted(shares.items(), key=lambda item: -item[1])[:most])


VIEWS: dict[str, Callable[[Shown], None]] = {
    "class": _class,
    "binary": _class,
    "labels": _labels,
    "number": _number,
    "next_token": _next_token,
    "sequence": _text,
    "mask": _mask,
    "boxes": _boxes,
    "tags": _tags,
    "class_and_tags": _class_and_tags,
    "several": _several,
    "input": _reconstruction,
    "generated": _generated,
    "pair": _pair,
    "action": _action,
    "embedding": _embedding,
    "score": _score,
}
