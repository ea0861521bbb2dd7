"""True labels that arrive after a prediction: which values they can have, and how wrong the prediction was.

A task declares the kind of its labels (`Task.true_label`). The model server checks labels, and monitoring measures
errors, by these declarations alone.
"""

from netloom.tasks.true_labels.classes import ClassLabel, LabelSet
from netloom.tasks.true_labels.masks import MaskLabel
from netloom.tasks.true_labels.numbers import ColumnsLabel, ForecastLabel, NumberLabel
from netloom.tasks.true_labels.objects import ObjectsLabel
from netloom.tasks.true_labels.several import SeveralLabels
from netloom.tasks.true_labels.tags import ClassWithTags, WordTags
from netloom.tasks.true_labels.texts import TextLabel
from netloom.tasks.true_labels.true_label import BoxedLabel, PaintedLabel, TrueLabel

__all__ = [
    "BoxedLabel",
    "ClassLabel",
    "ClassWithTags",
    "ColumnsLabel",
    "ForecastLabel",
    "LabelSet",
    "MaskLabel",
    "NumberLabel",
    "ObjectsLabel",
    "PaintedLabel",
    "SeveralLabels",
    "TextLabel",
    "TrueLabel",
    "WordTags",
]
