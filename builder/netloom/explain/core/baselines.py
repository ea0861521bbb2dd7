"""Baselines: the reference inputs with which methods compare an example.

A baseline is one class that registers itself. It supports some kinds of input; the other inputs of a network keep their
usual baseline, and the description says so. Sturmfels et al. 2020 show how much attributions depend on this choice:
https://distill.pub/2020/attribution-baselines/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from netloom.explain.core.errors import ExplainError, UnknownChoiceError
from netloom.modalities.encoding.tokenization import PAD
from netloom.modalities.fields.modality import Modality
from netloom.modalities.fields.registry import modality_of

if TYPE_CHECKING:
    import torch

    from netloom.data import FieldSpec, Prepared
    from netloom.modalities.encoding.field_encoder import FieldEncoder

USUAL = "usual"
# The largest number of training rows to which baselines are fitted.
ROWS = 2048
# The number of training rows among which a typical row is searched.
TYPICAL = 256
# The standard deviation of the blur as a share of the shorter side of the image.
BLUR = 1 / 8
BaselineChoice = str | Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """An input for which a baseline is computed.

    It consists of the field, the data, the example (N, …) if there is one, and the argument after the name of the
    baseline, such as a class or a row.
    """

    spec: FieldSpec
    data: Prepared
    given: torch.Tensor | None = None
    argument: str = ""

    @property
    def example(self) -> torch.Tensor:
        """The example (N, …), by default the first row."""
        return self.data.inputs[self.spec.name][:1] if self.given is None else self.given

    @cached_property
    def rows(self) -> torch.Tensor:
        """The training rows to which baselines are fitted, (R, …)."""
        return self.data.inputs[self.spec.name][self.data.split["train"][:ROWS]]

    @property
    def field(self) -> FieldEncoder[Any]:
        """The fitted encoder of the field."""
        return self.data.field(self.spec.name)

    @cached_property
    def modality(self) -> Modality[Any]:
        """The modality of the field, which defines its usual baseline."""
        return modality_of(self.field)

    @property
    def is_numeric(self) -> bool:
        """Whether values are real numbers rather than token ids, so that they have a mean and a zero."""
        return self.spec.vocabulary is None


class Baseline:
    """A kind of baseline. `title` is its name in lists; `argument` describes what follows the name after a colon."""

    name: ClassVar[str]
    title: ClassVar[str]
    argument: ClassVar[str] = ""
    names_class: ClassVar[bool] = False  # the argument is a class of the target
    names_row: ClassVar[bool] = False  # the argument is the number of a row
    of_example: ClassVar[bool] = False  # depends on the example, so it differs between rows

    def fits(self, source: Source) -> bool:
        """Return whether the baseline supports this input."""
        raise NotImplementedError

    def make(self, source: Source) -> torch.Tensor:
        """Compute the values, (1, …), or (N, …) if they depend on the examples."""
        raise NotImplementedError

    def words(self, source: Source) -> str:
        """Describe the baseline, as it follows "compared with"."""
        raise NotImplementedError


class Usual(Baseline):
    """The usual baseline of the modality."""

    name, title = USUAL, "Usual for the kind of input"

    def fits(self, source: Source) -> bool:
        return True

    def make(self, source: Source) -> torch.Tensor:
        import torch

        return torch.from_numpy(source.modality.usual_baseline(source.rows.numpy()))

    def words(self, source: Source) -> str:
        return source.modality.usual_baseline_phrase


class Zero(Baseline):
    """All values are 0."""

    name, title = "zero", "Zero"

    def fits(self, source: Source) -> bool:
        return source.is_numeric

    def make(self, source: Source) -> torch.Tensor:
        import torch

        return torch.zeros(1, *source.spec.shape)

    def words(self, source: Source) -> str:
        return "zero in every number that the network receives"


class Mean(Baseline):
    """The mean of the training rows."""

    name, title = "mean", "Mean of the training rows"

    def fits(self, source: Source) -> bool:
        return source.is_numeric

    def make(self, source: Source) -> torch.Tensor:
        import torch

        return torch.from_numpy(source.modality.center(source.rows.numpy()))

    def words(self, source: Source) -> str:
        return f"the mean of the training {source.modality.rows_phrase}"


class Median(Baseline):
    """The median of each number; for categories, the most frequent value."""

    name, title = "median", "Median of the training rows"

    def fits(self, source: Source) -> bool:
        return source.is_numeric

    def make(self, source: Source) -> torch.Tensor:
        import torch

        return torch.from_numpy(source.modality.median(source.field, source.rows.numpy()))

    def words(self, source: Source) -> str:
        return f"the median of the training {source.modality.rows_phrase}"


class OfClass(Baseline):
    """The mean of the training rows of a class; for categories, their most frequent value."""

    name, title, argument = "class", "Mean of a class", "the name of a class"
    names_class = True

    def fits(self, source: Source) -> bool:
        # Token ids have no mean.
        return source.data.schema.target.type.is_class and not source.modality.has_padding

    def make(self, source: Source) -> torch.Tensor:
        import torch

        data = source.data
        classes = data.schema.target.classes
        if source.argument not in classes:
            listed = ", ".join(classes[:20])
            raise UnknownChoiceError(f"There is no class {source.argument[:60]!r}; choose one of {listed}.")
        train = data.split["train"]
        rows = train[data.target[train] == classes.index(source.argument)][:ROWS]
        if not len(rows):
            raise ExplainError(f"No training row is of the class {source.argument}; choose another baseline.")
        return torch.from_numpy(source.modality.center(data.inputs[source.spec.name][rows].numpy()))

    def words(self, source: Source) -> str:
        modality = source.modality
        return f"the {modality.center_phrase} of the training {modality.rows_phrase} of the class {source.argument}"


class Black(Baseline):
    """A black image."""

    name, title, level = "black", "Black", 0.0

    def fits(self, source: Source) -> bool:
        return source.modality.has_brightness

    def make(self, source: Source) -> torch.Tensor:
        import torch

        top = self.level * brightest(source.data, source.spec.name)
        field = source.data.image_field(source.spec.name)
        mean, std = (torch.tensor(values, dtype=torch.float32) for values in (field.mean, field.std))
        # The network receives normalized pixels.
        return ((torch.full(source.spec.shape, top) - mean) / std).unsqueeze(0)

    def words(self, source: Source) -> str:
        return f"a {self.name} image"


class White(Black):
    """A white image."""

    name, title, level = "white", "White", 1.0


class Blur(Baseline):
    """The blurred example itself, which keeps only coarse structure."""

    name, title = "blur", "The image itself, blurred"
    of_example = True

    def fits(self, source: Source) -> bool:
        return source.modality.has_brightness

    def make(self, source: Source) -> torch.Tensor:
        import torch
        from scipy.ndimage import gaussian_filter

        sigma = self._sigma(source)
        # Blurs height and width only of (N, C, H, W)
        blurred = gaussian_filter(source.example.numpy(), (0, 0, sigma, sigma), mode="nearest")
        return torch.from_numpy(blurred)

    def words(self, source: Source) -> str:
        return f"the image itself, blurred (σ = {self._sigma(source):.3g} px)"

    def _sigma(self, source: Source) -> float:
        return float(min(source.spec.shape[1:]) * BLUR)


class Padding(Baseline):
    """A text of padding tokens only."""

    name, title = "padding", "Padding"

    def fits(self, source: Source) -> bool:
        return source.modality.has_padding

    def make(self, source: Source) -> torch.Tensor:
        import torch

        return torch.full((1, *source.spec.shape), PAD, dtype=torch.int64)

    def words(self, source: Source) -> str:
        return "a text of padding"


class OfRow(Baseline):
    """Another row of the data."""

    name, title, argument = "row", "A row of the data", "the number of a row"
    names_row = True

    def fits(self, source: Source) -> bool:
        return True

    def make(self, source: Source) -> torch.Tensor:
        count = source.data.schema.rows
        number = int(source.argument) if source.argument.isdecimal() and len(source.argument) < 12 else -1
        if not 0 <= number < count:
            raise UnknownChoiceError(
                f"There is no row {source.argument[:60]!r} to compare with; the data has 0 to {count - 1}."
            )
        # A slice would share its memory with the data.
        return source.data.inputs[source.spec.name][number : number + 1].clone()

    def words(self, source: Source) -> str:
        return f"row {source.argument} of the data"


BASELINES: dict[str, Baseline] = {
    one.name: one
    for one in (
        Usual(), Zero(), Mean(), Median(), OfClass(), Black(), White(), Blur(), Padding(), OfRow(),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Chosen:
    """The baseline of each field, (1, …) or (N, …), its description, and whether it depends on the example."""

    values: dict[str, torch.Tensor]
    words: str
    of_example: bool = False


def offered(data: Prepared, fields: Iterable[str]) -> list[Baseline]:
    """Return the baselines that support at least one of the fields, the usual one first.

    Reads no tensors, as a server of pages calls it.
    """
    sources = _sources(data, list(fields), {})
    return [baseline for baseline in BASELINES.values() if any(baseline.fits(source) for source in sources)]


def choose(choice: BaselineChoice, data: Prepared, inputs: Mapping[str, torch.Tensor]) -> Chosen:
    """Return the chosen baseline for inputs (N, …) by field.

    `asked` is a name such as "median", a name with an argument ("class:setosa", "row:12"), or a custom raw row.

    Raises:
        ExplainError: The baseline, class or row does not exist, or no input supports it.
        DataError: The raw row lacks a field, or has a value that the data cannot encode.
    """
    if not isinstance(choice, str):
        example_values = data.encode(choice, list(inputs))
        return Chosen({name: example_values[name] for name in inputs}, "a row of your own")
    name, _, argument = choice.partition(":")
    sources = _sources(data, list(inputs), inputs, argument)
    chosen_baseline = BASELINES.get(name)
    fitting = [baseline for baseline in BASELINES.values() if any(baseline.fits(source) for source in sources)]
    listed = ", ".join(
        f"{baseline.name}:{baseline.argument.upper().split()[-1]}" if baseline.argument else baseline.name
        for baseline in fitting
    )
    if chosen_baseline is None:
        raise UnknownChoiceError(f"There is no baseline {choice[:60]!r}; choose one of {listed}.")
    if bool(chosen_baseline.argument) != bool(argument):
        needs = (
            f"needs {chosen_baseline.argument}, as in {name}:…"
            if chosen_baseline.argument
            else "takes nothing after a colon"
        )
        raise UnknownChoiceError(f"The baseline {name!r} {needs}; received {choice[:60]!r}.")
    if chosen_baseline not in fitting:
        kinds = ", ".join(sorted({source.modality.phrase for source in sources}))
        raise UnknownChoiceError(
            f"The baseline {name!r} does not fit this network, which reads {kinds}"
            f"{_of_target(chosen_baseline, data)}; choose one of {listed}."
        )
    used = {
        source.spec.name: chosen_baseline if chosen_baseline.fits(source) else BASELINES[USUAL] for source in sources
    }
    values = {source.spec.name: used[source.spec.name].make(source) for source in sources}
    words = {source.spec.name: used[source.spec.name].words(source) for source in sources}
    if len(set(words.values())) == 1:
        return Chosen(values, next(iter(words.values())), chosen_baseline.of_example)
    return Chosen(values, "; ".join(f"{text} ({field})" for field, text in words.items()), chosen_baseline.of_example)


def typical_row(data: Prepared, fields: Iterable[str]) -> int:
    """Return the number of the row that is nearest to the usual baselines among the first `TYPICAL` training rows."""
    rows = data.split["train"][:TYPICAL]
    distances = np.zeros(len(rows))
    for source in _sources(data, list(fields), {}):
        values, baseline = data.inputs[source.spec.name][rows].numpy(), BASELINES[USUAL].make(source).numpy()
        distances += source.modality.distances(values, baseline)
    return int(rows[int(distances.argmin())])


def brightest(data: Prepared, name: str) -> float:
    """Return the brightest pixel value before normalization: 255 for images that are used unscaled, otherwise 1."""
    field = data.image_field(name)
    if field.scale != 1.0:
        return 1.0
    rows = field.unscaled(data.input_values(name)[data.rows["train"][:64]])
    # The tolerance covers the rounding of the normalization.
    return 255.0 if float(rows.max()) > 1.0 + 1e-3 else 1.0


def _sources(data: Prepared, fields: list[str], inputs: Mapping[str, torch.Tensor], argument: str = "") -> list[Source]:
    return [Source(spec, data, inputs.get(spec.name), argument) for spec in data.schema.inputs if spec.name in fields]


def _of_target(baseline: Baseline, data: Prepared) -> str:
    return " and does not predict classes" if baseline.names_class and not data.schema.target.type.is_class else ""
