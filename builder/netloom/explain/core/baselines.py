"""What stands for "nothing" where a method compares an example with something: the baselines that people can choose.

A baseline is one class that registers itself. It fits some kinds of input; the other inputs of the same network keep
their usual one, and the words say so. Sturmfels and others 2020 show how much an explanation depends on this choice:
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
# Baselines are fitted to so many rows of the training split at most.
ROWS = 2048
# A typical row is looked for among so many.
TYPICAL = 256
# A picture is blurred by so much of its shorter side: what is finer is gone.
BLUR = 1 / 8
BaselineChoice = str | Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """An input for which a baseline is made: its field, what is known of the data, the example (N, …) itself, and what
    was asked for behind the name of the baseline (a class, a row)."""

    spec: FieldSpec
    data: Prepared
    example: torch.Tensor
    argument: str = ""

    @cached_property
    def rows(self) -> torch.Tensor:
        """The rows of the training split to which baselines are fitted, (R, …)."""
        return self.data.inputs[self.spec.name][self.data.split["train"][:ROWS]]

    @property
    def field(self) -> FieldEncoder[Any]:
        """The field with what was fitted for it."""
        return self.data.field(self.spec.name)

    @cached_property
    def modality(self) -> Modality[Any]:
        """What the field holds, which says what its usual baseline is."""
        return modality_of(self.field)

    @property
    def is_numeric(self) -> bool:
        """Whether values are real numbers, which have a mean and a zero, rather than numbers of a vocabulary."""
        return self.spec.vocabulary is None


class Baseline:
    """One baseline. `title` stands in lists; `argument` says what has to follow the name after a colon."""

    name: ClassVar[str]
    title: ClassVar[str]
    argument: ClassVar[str] = ""
    of_example: ClassVar[bool] = False  # made from the example itself, so another for each

    def fits(self, source: Source) -> bool:
        """Whether it can be made for an input of this kind."""
        raise NotImplementedError

    def make(self, source: Source) -> torch.Tensor:
        """The values, (1, …), or (N, …) where it is made from the examples."""
        raise NotImplementedError

    def words(self, source: Source) -> str:
        """What it is, as it stands behind "compared with"."""
        raise NotImplementedError


class Usual(Baseline):
    name, title = USUAL, "Usual for the kind of input"

    def fits(self, source: Source) -> bool:
        return True

    def make(self, source: Source) -> torch.Tensor:
        import torch

        return torch.from_numpy(source.modality.usual_baseline(source.rows.numpy()))

    def words(self, source: Source) -> str:
        return source.modality.usual_baseline_phrase


class Zero(Baseline):
    name, title = "zero", "Zero"

    def fits(self, source: Source) -> bool:
        return source.is_numeric

    def make(self, source: Source) -> torch.Tensor:
        import torch

        return torch.zeros(1, *source.spec.shape)

    def words(self, source: Source) -> str:
        return "zero in every number that the network receives"


class Mean(Baseline):
    name, title = "mean", "Mean of the training rows"

    def fits(self, source: Source) -> bool:
        return source.is_numeric

    def make(self, source: Source) -> torch.Tensor:
        import torch

        return torch.from_numpy(source.modality.center(source.rows.numpy()))

    def words(self, source: Source) -> str:
        return f"the mean of the training {source.modality.rows_phrase}"


class Median(Baseline):
    """The median of each number; of a category, which has none, the most frequent value."""

    name, title = "median", "Median of the training rows"

    def fits(self, source: Source) -> bool:
        return source.is_numeric

    def make(self, source: Source) -> torch.Tensor:
        import torch

        return torch.from_numpy(source.modality.median(source.field, source.rows.numpy()))

    def words(self, source: Source) -> str:
        return f"the median of the training {source.modality.rows_phrase}"


class OfClass(Baseline):
    """The mean of the training rows of a class; of categories, the most frequent ones among them."""

    name, title, argument = "class", "Mean of a class", "the name of a class"

    def fits(self, source: Source) -> bool:
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
    name, title, level = "black", "Black", 0.0

    def fits(self, source: Source) -> bool:
        return source.modality.has_brightness

    def make(self, source: Source) -> torch.Tensor:
        import torch

        top = self.level * brightest(source.data, source.spec.name)
        field = source.data.image_field(source.spec.name)
        mean, std = (torch.tensor(values, dtype=torch.float32) for values in (field.mean, field.std))
        return ((torch.full(source.spec.shape, top) - mean) / std).unsqueeze(0)

    def words(self, source: Source) -> str:
        return f"a {self.name} picture"


class White(Black):
    name, title, level = "white", "White", 1.0


class Blur(Baseline):
    name, title = "blur", "The picture itself, blurred"
    of_example = True

    def fits(self, source: Source) -> bool:
        return source.modality.has_brightness

    def make(self, source: Source) -> torch.Tensor:
        import torch
        from scipy.ndimage import gaussian_filter

        sigma = self._sigma(source)
        blurred = gaussian_filter(source.example.numpy(), (0, 0, sigma, sigma), mode="nearest")
        return torch.from_numpy(blurred)

    def words(self, source: Source) -> str:
        return f"the picture itself, blurred (σ = {self._sigma(source):.3g} px)"

    def _sigma(self, source: Source) -> float:
        return float(min(source.spec.shape[1:]) * BLUR)


class Padding(Baseline):
    name, title = "padding", "Padding"

    def fits(self, source: Source) -> bool:
        return source.modality.has_padding

    def make(self, source: Source) -> torch.Tensor:
        import torch

        return torch.full((1, *source.spec.shape), PAD, dtype=torch.int64)

    def words(self, source: Source) -> str:
        return "a text of padding"


class OfRow(Baseline):
    name, title, argument = "row", "A row of the data", "the number of a row"

    def fits(self, source: Source) -> bool:
        return True

    def make(self, source: Source) -> torch.Tensor:
        count = source.data.schema.rows
        number = int(source.argument) if source.argument.isdecimal() and len(source.argument) < 12 else -1
        if not 0 <= number < count:
            raise UnknownChoiceError(
                f"There is no row {source.argument[:60]!r} to compare with; the data has 0 to {count - 1}."
            )
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
    """The baseline of each field, (1, …) or (N, …), and all of them in words. `of_example`: it is another for each
    example."""

    values: dict[str, torch.Tensor]
    words: str
    of_example: bool = False


def offered(data: Prepared, fields: Iterable[str]) -> list[Baseline]:
    """The baselines that fit at least one of a network's inputs, other than as the usual one, the usual one first."""
    sources = _sources(data, list(fields), {})
    return [one for one in BASELINES.values() if any(one.fits(source) for source in sources)]


def choose(asked: BaselineChoice, data: Prepared, inputs: Mapping[str, torch.Tensor]) -> Chosen:
    """The baseline that is asked for: a name such as "median", with what it needs after a colon ("class:setosa",
    "row:12"), or a raw row of one's own. `inputs` (N, …) are the examples, by the fields that the network reads.

    Raises:
        ExplainError: there is no such baseline, class or row, or none of the inputs can have it.
        DataError: the raw row lacks something, or holds what the data cannot take.
    """
    if not isinstance(asked, str):
        own = data.encode(asked, list(inputs))
        return Chosen({name: own[name] for name in inputs}, "a row of your own")
    name, _, argument = asked.partition(":")
    sources = _sources(data, list(inputs), inputs, argument)
    wanted = BASELINES.get(name)
    fitting = [one for one in BASELINES.values() if any(one.fits(source) for source in sources)]
    listed = ", ".join(
        f"{one.name}:{one.argument.upper().split()[-1]}" if one.argument else one.name for one in fitting
    )
    if wanted is None:
        raise UnknownChoiceError(f"There is no baseline {asked[:60]!r}; choose one of {listed}.")
    if bool(wanted.argument) != bool(argument):
        needs = f"needs {wanted.argument}, as in {name}:…" if wanted.argument else "takes nothing after a colon"
        raise UnknownChoiceError(f"The baseline {name!r} {needs}; received {asked[:60]!r}.")
    if wanted not in fitting:
        kinds = ", ".join(sorted({source.modality.phrase for source in sources}))
        raise UnknownChoiceError(
            f"The baseline {name!r} does not fit this network, which reads {kinds}"
            f"{_of_target(wanted, data)}; choose one of {listed}."
        )
    used = {source.spec.name: wanted if wanted.fits(source) else BASELINES[USUAL] for source in sources}
    values = {source.spec.name: used[source.spec.name].make(source) for source in sources}
    words = {source.spec.name: used[source.spec.name].words(source) for source in sources}
    if len(set(words.values())) == 1:
        return Chosen(values, next(iter(words.values())), wanted.of_example)
    return Chosen(values, "; ".join(f"{text} ({field})" for field, text in words.items()), wanted.of_example)


def typical_row(data: Prepared, fields: Iterable[str]) -> int:
    """The number of the training row that lies nearest to the usual baselines, among the first few."""
    rows = data.split["train"][:TYPICAL]
    distances = np.zeros(len(rows))
    for source in _sources(data, list(fields), {}):
        values, baseline = data.inputs[source.spec.name][rows].numpy(), BASELINES[USUAL].make(source).numpy()
        distances += source.modality.distances(values, baseline)
    return int(rows[int(distances.argmin())])


def brightest(data: Prepared, name: str) -> float:
    """The brightest value of a scaled picture: 255 where pictures are taken as they are."""
    field = data.image_field(name)
    if field.scale != 1.0:
        return 1.0
    rows = field.unscaled(data.inputs[name][data.split["train"][:64]].numpy())
    return 255.0 if float(rows.max()) > 1.0 + 1e-3 else 1.0


def _sources(data: Prepared, fields: list[str], inputs: Mapping[str, torch.Tensor], argument: str = "") -> list[Source]:
    return [
        Source(spec, data, inputs.get(spec.name, data.inputs[spec.name][:1]), argument)
        for spec in data.schema.inputs
        if spec.name in fields
    ]


def _of_target(wanted: Baseline, data: Prepared) -> str:
    return " and does not tell classes" if wanted.name == "class" and not data.schema.target.type.is_class else ""
