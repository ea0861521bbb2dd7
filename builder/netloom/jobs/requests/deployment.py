"""Jobs of the Deploy page: compression, drift and model cards."""

from __future__ import annotations

from dataclasses import dataclass

from netloom.compression import CompressionError, DocumentMethod, Report, file_methods, measure, registry
from netloom.compression.methods.early_exit import TOLERANCE
from netloom.compression.sensitivity import Sensitivity, sensitivity
from netloom.compression.smaller_runs import Proposal, propose
from netloom.compression.variant_files import variant_file, variant_files, write_variant
from netloom.drift import DriftReport, compare
from netloom.export.model_card import Statement, collect, html, markdown
from netloom.jobs.loaded_runs import RunWeights
from netloom.jobs.request import Context, Request
from netloom.sandbox import read_batch


@dataclass(frozen=True)
class Optimized:
    """The measurements of variants, and their files in the folder of the run by method."""

    report: Report
    files: dict[str, str]


@dataclass(frozen=True)
class Optimize(Request[Optimized], kind="optimize", lane="long"):
    """Variants of a run by all methods, measured beside it and beside smaller runs that were made from it.

    `exit_at` is the layer of an early exit, or "" for a proposed one; `tolerance` is the share of accuracy that it may
    cost. `requested_at` distinguishes repeated measurements, because each replaces the files of the one before.
    """

    weights: RunWeights
    runs: tuple[RunWeights, ...] = ()
    exit_at: str = ""
    tolerance: float = TOLERANCE
    requested_at: float = 0.0

    def compute(self, context: Context) -> Optimized:
        runs = [context.run(weights) for weights in self.runs]
        settings = {"exit_at": self.exit_at, "tolerance": self.tolerance}
        methods = [method.with_settings(settings) for method in file_methods()]
        report, variants = measure(context.run(self.weights), methods, runs=runs, progress=context.progress)
        artifacts, files = context.store.artifacts(self.weights.run_id), {}
        for variant in variants:
            path = variant_file(artifacts, variant.method, self.weights.checkpoint)
            write_variant(path, variant.content, self.weights.written)
            files[variant.method] = path.name
        for name, path in variant_files(artifacts, self.weights.checkpoint).items():
            if name not in files:  # of an earlier measurement; its method fails with these settings
                path.unlink(missing_ok=True)
        return Optimized(report, files)


@dataclass(frozen=True)
class ProposeSmaller(Request[Proposal], kind="propose_smaller", lane="long"):
    """A smaller document of a run by a method with some settings, with its training for some epochs."""

    weights: RunWeights
    method: str
    epochs: int
    settings: dict[str, float | str]

    def compute(self, context: Context) -> Proposal:
        method = registry()[self.method].with_settings(self.settings)
        if not isinstance(method, DocumentMethod):
            raise CompressionError(f"{method.title} makes a file, which cannot be trained as a run.")
        return propose(context.run(self.weights), method, self.epochs, context.home)


@dataclass(frozen=True)
class MeasureSensitivity(Request[Sensitivity], kind="sensitivity", lane="long"):
    """The change of the loss if only this layer is quantized or pruned, for each layer."""

    weights: RunWeights

    def compute(self, context: Context) -> Sensitivity:
        return sensitivity(context.run(self.weights), context.progress)


@dataclass(frozen=True)
class MeasureDrift(Request[DriftReport], kind="drift", lane="long"):
    """The drift of the rows of a file. `stored` is the name of the file in the folder of the run, `name` its name for
    people."""

    weights: RunWeights
    stored: str
    name: str

    def compute(self, context: Context) -> DriftReport:
        trained, artifacts = context.run(self.weights), context.store.artifacts(self.weights.run_id)
        content = artifacts.export_file(self.stored).read_bytes()
        file = read_batch(content, self.name, trained.preprocess.to_json(), lambda share: context.progress(share / 2))
        return compare(trained, file.rows)


@dataclass(frozen=True)
class CardTexts:
    """A model card as Markdown and as HTML."""

    markdown: str
    html: str


@dataclass(frozen=True)
class WriteCard(Request[CardTexts], kind="model_card"):
    """The model card of a run, with the parts that a person wrote."""

    weights: RunWeights
    statement: Statement

    def compute(self, context: Context) -> CardTexts:
        card = collect(context.store, context.run(self.weights), self.statement)
        return CardTexts(markdown(card), html(card))
