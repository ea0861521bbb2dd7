"""Reconstruction of the input (autoencoder)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netloom.data.schema import Schema, TargetKind
from netloom.document import Training
from netloom.document.data_choice import DataChoice
from netloom.tasks.answers import AnswerPart, number_part, structure_part
from netloom.tasks.outputs import ExpectedOutput
from netloom.tasks.regression import LOSS_PARAMETERS, LOSS_SETTINGS, unused_loss_parameters
from netloom.tasks.task import Problem, Task

# The metrics with a likelihood. The ELBO is that of one sample per example; bits per dimension are its negative in
# bits, divided by the number of values of an example.
LIKELIHOOD_METRICS = {
    "loss": "Negative log-likelihood + β · KL",
    "elbo": "ELBO (nats)",
    "bits_per_dim": "Bits per dimension",
    "nll": "Negative log-likelihood (nats)",
    "kl": "KL divergence (nats)",
    "beta": "β",
    "mae": "Mean absolute error",
}
QUANTILE = "quantile"
# The losses of the error, which is that of a regression of the input; without the quantile loss.
ERROR_SETTINGS = tuple(name for name in LOSS_SETTINGS if name != LOSS_PARAMETERS[QUANTILE])


class Reconstruction(Task):
    name = "reconstruction"
    title = "Reconstruction"
    summary = "Reconstructs the input through a bottleneck or from noise (autoencoder)"
    order = 110
    target: ClassVar[TargetKind | None] = None
    metrics: ClassVar = {"loss": "Mean squared error", "mae": "Mean absolute error"}
    settings: ClassVar[tuple[str, ...]] = ("likelihood", "likelihood_scale", *ERROR_SETTINGS)
    reconstructs_input = True
    monitored_numbers = ("error",)
    explained = "error"
    not_calibrated = "The output is the input itself; its error is not a probability."
    explains_many_outputs = True
    explains_distance = True
    not_attacked = "it reconstructs its input, so a changed example has another true answer."

    def outputs(self, schema: Schema, training: Training) -> tuple[ExpectedOutput, ...] | None:
        field = schema.inputs[0]
        if field.vocabulary is not None:
            # `problems` reports tokens.
            return None
        return (ExpectedOutput(field.shape, f"the field {field.name} of the data needs"),)

    def read_settings(self, training: Training) -> tuple[str, ...]:
        if "likelihood" in self.settings and training.likelihood != "none":
            # A Bernoulli distribution has no scale.
            return ("likelihood",) if training.likelihood == "bernoulli" else ("likelihood", "likelihood_scale")
        unused = {"likelihood_scale", *unused_loss_parameters(training)}
        return tuple(name for name in self.settings if name not in unused)

    def problems(self, schema: Schema | None, training: Training, data: DataChoice) -> Iterator[Problem]:
        if training.regression_loss == QUANTILE and "regression_loss" in self.read_settings(training):
            yield Problem(
                "objective",
                f"The objective {self.name.replace('_', ' ')} cannot train with the quantile loss, which would "
                "reconstruct a quantile of each input; choose the mean squared error, the mean absolute error or the "
                "Huber loss.",
                "Use mean squared error",
                training={"regression_loss": "mse"},
            )
        if schema is not None and schema.inputs[0].vocabulary is not None:
            yield Problem(
                "objective",
                f"The objective {self.name.replace('_', ' ')} reconstructs numbers, but the field "
                f"{schema.inputs[0].name} of the data contains tokens; choose images, tables or series.",
            )

    def answer_parts(self, schema: Schema) -> tuple[AnswerPart, ...]:
        return (
            structure_part("prediction", {}, "The reconstructed input"),
            number_part("error", "The mean squared error of the reconstruction, in scaled units"),
        )
