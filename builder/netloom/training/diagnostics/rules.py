"""The rules for the warnings of a run. Every threshold states its source.

They avoid false alarms: a rule that warns about healthy runs teaches people to ignore all warnings.
"""

from __future__ import annotations

import numpy as np

from netloom.layers import layer_class
from netloom.training.diagnostics.alerts import Notice, Observations, Refuted, Rule
from netloom.training.diagnostics.statistics_file import MEASURES

# Consecutive samples in which a condition must hold, because a single batch can be an outlier.
IN_A_ROW = 3
# The gradient norm varies by a few times between batches and by about ten times over a run, so 100 times the median is
# beyond both. A norm of 10,000 does not occur with inputs and targets of unit scale and reasonable weights. The median
# needs at least `USUAL` samples.
EXPLODES, EXPLODED, USUAL = 100.0, 1e4, 5
SHORT = 1.0  # a gradient of at most this norm is not exploding, whatever its usual value
# A sigmoid removes about nine tenths of the gradient, so about this much is left after five of them. A weight with a
# gradient that is smaller by this factor learns at a ten-thousandth of the speed: it keeps its initial value.
VANISHES = 1e-4
# Networks with rectifiers train well with some tenths of the units at 0 in a batch. With half of them, a layer wastes
# half of its width. https://arxiv.org/abs/1903.06733
DEAD = 0.5
# A step should change the weights of a layer by about a thousandth of their norm:
# https://cs231n.github.io/neural-networks-3/#ratio
# A hundred times as much destroys what the layer learned; a tenth as much is too little if the loss does not change.
LARGE_STEP, SMALL_STEP = 0.1, 1e-4
# Twice the loss of an untrained network: worse than knowing nothing, by more than the loss varies between batches.
WORSE_THAN_NOTHING = 2.0
STEPS_TO_MOVE, MOVED_HIGH, MOVED_LOW = 20, 0.9, 0.98
# The greatest learning rate that a document allows.
HIGHEST_RATE = 10.0
# Validation losses fluctuate by a few percent between epochs. Three consecutive epochs above the best one by 3%, and by
# 1% of the total decrease, are not a fluctuation while the training loss still decreases.
RISES, RISEN_OF_ALL, EPOCHS = 1.03, 0.01, 3
# The last five epochs together reduced the loss by less than 0.5%, and it is still above 70% of the first loss.
PLATEAU_EPOCHS, PLATEAU_GAIN, PLATEAU_LEVEL = 5, 0.995, 0.7
# If a class is ten times as rare as the most common one, ignoring it costs less than a tenth of the accuracy, and
# networks often learn that first.
# https://developers.google.com/machine-learning/crash-course/overfitting/imbalanced-datasets
IMBALANCE = 10


def exploding_gradients(observations: Observations) -> Notice | None:
    gradients = observations.last("gradient", max(2, len(observations.samples)))
    if gradients is None or observations.training.gradient_clip is not None:
        return None
    lengths = np.sqrt(np.nansum(np.square(gradients, dtype=np.float64), axis=1))
    # Check all stored samples, not only the last: rules run from time to time, and a gradient that exploded can have
    # vanished again since (dead units).
    for late in 1 + np.flatnonzero(np.minimum(lengths[:-1], lengths[1:]) > SHORT):
        usual = float(np.median(lengths[: late - 1])) if late > USUAL else np.inf
        if not (lengths[late - 1 : late + 1] > min(EXPLODED, max(EXPLODES * usual, SHORT))).all():
            continue
        most = int(np.nanargmax(gradients[late]))
        comparison = f", {lengths[late] / usual:,.0f} times its usual value" if np.isfinite(usual) and usual > 0 else ""
        scale = "" if comparison else " Standardizing the inputs helps, too."
        return _notice(
            observations,
            "exploding_gradients",
            f"The gradient norm {'rose to' if comparison else 'is'} {lengths[late]:.3g}{comparison}; it is greatest in "
            f"{observations.places[most].title}.",
            "Clip the gradient (norm 1 is typical), lower the learning rate, or add a normalization layer before "
            "that layer." + scale,
            [most],
        )
    return None


def vanishing_gradients(observations: Observations) -> Notice | None:
    gradients = observations.last("gradient", IN_A_ROW)
    if gradients is None or _dead(observations):  # no gradient passes dead units, which have a rule of their own
        return None
    learned = np.flatnonzero(np.array(observations.matrices) & np.isfinite(gradients).all(0))
    if len(learned) < 3:
        return None
    strength = (
        gradients[:, learned] / np.sqrt(np.array(observations.sizes))[learned]
    )  # root mean square per weight, (samples, layers), as norms grow with the size of a layer
    most = strength.max(axis=1, keepdims=True)
    low = (strength < VANISHES * most).all(0) & (most > 0).all()
    if not low.any():
        return None
    layers = learned[low].tolist()
    share = float(most[-1, 0] / max(strength[-1, low].min(), 1e-30))
    ratio = f"{share:,.0f} times" if share < 1e9 else "more than a billion times"
    flat = any(layer_class(layer.type).saturates for layer in observations.places)
    first = "Use ReLU or GELU instead of sigmoid or tanh, add" if flat else "Add"
    return _notice(
        observations,
        "vanishing_gradients",
        f"The gradients of {observations.named(layers)['where']} vanish: they are {ratio} smaller than the largest, so "
        "these weights hardly change.",
        f"{first} normalization layers or residual connections, or remove layers.",
        layers,
    )


def dead_units(observations: Observations) -> Notice | None:
    layers = _dead(observations)
    if not layers:
        return None
    shares = observations.samples[-1][layers, MEASURES.index("dead")]
    return _notice(
        observations,
        "dead_units",
        f"{shares[0]:.0%} of the units of {observations.places[layers[0]].title} are 0 for every row of a batch"
        + (f", as in {len(layers) - 1} more layer{'s' if len(layers) > 2 else ''}" if len(layers) > 1 else "")
        + ". Dead units do not learn.",
        "Lower the learning rate, use Leaky ReLU or GELU, or add a normalization layer before it.",
        layers,
    )


def learning_rate_high(observations: Observations) -> Notice | None:
    if observations.loss_may_rise or len(observations.losses) < 3 or not observations.losses[0] > 0:
        return None
    first, last = observations.losses[0], observations.losses[-2:]
    rate = observations.learning_rate
    if _jumped(observations) and min(last) > MOVED_HIGH * first:
        highest = max(observations.losses)
        problem = f"The loss jumped to {highest:.3g}; before training it was {first:.3g}."
    else:
        steps = _step_size(observations)
        if steps is None or steps < LARGE_STEP or observations.step < STEPS_TO_MOVE or min(last) < MOVED_HIGH * first:
            return None
        problem = f"Every step changes the weights by {steps:.0%} of their norm, and the loss does not decrease."
    return _notice(
        observations,
        "learning_rate_high",
        problem,
        f"Lower the learning rate, for example from {rate:g} to {rate / 10:g}, or run the LR range test.",
    )


def learning_rate_low(observations: Observations) -> Notice | None:
    if (
        observations.loss_may_rise
        or len(observations.train) < 2
        or observations.step < STEPS_TO_MOVE
        or not observations.first > 0
    ):
        return None
    if _dead(observations) or _jumped(observations) or observations.learning_rate >= HIGHEST_RATE:
        return None  # small updates have another cause
    steps = _step_size(observations)
    if steps is None or steps > SMALL_STEP or observations.train[-1] < MOVED_LOW * observations.first:
        return None
    rate = observations.learning_rate
    return _notice(
        observations,
        "learning_rate_low",
        f"The loss has hardly changed in {len(observations.train)} epochs: a step changes the weights by {steps:.1g} "
        "of their norm; 0.001 is typical.",
        f"Raise the learning rate, for example from {rate:g} to {min(HIGHEST_RATE, rate * 10):g}, or run the LR "
        "range test.",
    )


def overfitting(observations: Observations) -> Notice | None:
    validation = observations.validation
    if observations.loss_may_rise or len(validation) <= EPOCHS:
        return None
    best = int(np.argmin(validation))
    late = validation[-EPOCHS:]
    if len(validation) - 1 - best < EPOCHS:
        return None
    risen = min(late) - validation[best]
    if risen <= (RISES - 1) * abs(validation[best]) or risen <= RISEN_OF_ALL * (max(validation) - validation[best]):
        return None
    if not observations.train[-1] < observations.train[best]:
        return None
    return _notice(
        observations,
        "overfitting",
        f"The validation loss was lowest in epoch {best + 1} ({validation[best]:.3g}) and has risen to "
        f"{validation[-1]:.3g}, while the training loss still decreases ({observations.train[best]:.3g} to "
        f"{observations.train[-1]:.3g}): the network is overfitting.",
        ("The best weights are saved. " if observations.training.checkpoint == "best" else "")
        + "Train for fewer epochs or turn on early stopping. More data, augmentation, dropout, weight decay "
        "or a smaller network reduce overfitting.",
    )


def fell_again(observations: Observations, notice: Notice) -> bool:
    """Return whether the validation loss has reached a new minimum since the warning that it rises."""
    return len(observations.validation) > 0 and int(np.argmin(observations.validation)) >= notice.epoch


def underfitting(observations: Observations) -> Notice | None:
    train = observations.train
    if observations.loss_may_rise or len(train) < PLATEAU_EPOCHS + EPOCHS or not observations.first > 0:
        return None
    if _dead(observations) or _jumped(observations):  # `dead_units` or `learning_rate_high` reports the cause
        return None
    before, late = min(train[:-PLATEAU_EPOCHS]), min(train[-PLATEAU_EPOCHS:])
    steps = _step_size(observations)
    if steps is not None and steps <= SMALL_STEP:
        return None  # the cause is a low learning rate, which has a rule of its own
    if late < PLATEAU_GAIN * before or late < PLATEAU_LEVEL * observations.first:
        return None
    return _notice(
        observations,
        "underfitting",
        f"The training loss stays at {late:.3g}; before training it was {observations.first:.3g}. The network is "
        "underfitting.",
        "Try a larger network or another learning rate, and check on the Data page that the inputs are related to "
        "the target.",
    )


def class_imbalance(observations: Observations) -> Notice | None:
    counts = observations.class_counts
    if len(counts) < 2 or not min(counts.values()) * IMBALANCE < max(counts.values()):
        return None
    few, many = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    return _notice(
        observations,
        "class_imbalance",
        f"In the training rows, {counts[few]:,} are {few[:60]!r} and {counts[many]:,} are {many[:60]!r}: a network "
        f"that never predicts {few[:60]!r} is almost as accurate as a good one.",
        "Set class weights, collect more rows of rare classes, and use balanced accuracy or F1 instead of accuracy.",
    )


def _dead(observations: Observations) -> list[int]:
    """Return the layers in which at least half of the units were 0 for every row in the last samples."""
    dead = observations.last("dead", IN_A_ROW)
    return [] if dead is None else np.flatnonzero((np.nan_to_num(dead, nan=0.0) >= DEAD).all(0)).tolist()


def _jumped(observations: Observations) -> bool:
    """Return whether the loss was ever greater than before training, twice in a row, as rules are checked only from
    time to time. Does not apply to weights that were trained before."""
    if observations.is_pretrained:
        return False
    pairs = zip(observations.losses, observations.losses[1:], strict=False)
    return (
        bool(observations.losses)
        and max(map(min, pairs), default=0.0) > WORSE_THAN_NOTHING * observations.losses[0] > 0
    )


def _step_size(observations: Observations) -> float | None:
    """Return the relative size of an update: the median over layers and the last samples."""
    updates = observations.last("update", IN_A_ROW)
    if updates is None:
        return None
    matrix_updates = updates[:, np.array(observations.matrices)]
    return float(np.nanmedian(matrix_updates)) if np.isfinite(matrix_updates).any() else None


def _notice(observations: Observations, code: str, message: str, fix: str, layers: list[int] | None = None) -> Notice:
    severity = "info" if code in ("class_imbalance", "learning_rate_low", "underfitting") else "warning"
    return Notice(
        code,
        severity,  # type: ignore[arg-type]
        message,
        fix,
        step=observations.step,
        epoch=observations.epoch,
        **(observations.named(layers) if layers else {}),
    )


RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        exploding_gradients,
        vanishing_gradients,
        dead_units,
        learning_rate_high,
        learning_rate_low,
        overfitting,
        underfitting,
        class_imbalance,
    )
}
REFUTED: dict[str, Refuted] = {overfitting.__name__: fell_again}
