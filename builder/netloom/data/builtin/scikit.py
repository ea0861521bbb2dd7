"""Classic datasets that scikit-learn ships, read from its files, because importing it would take two seconds."""

from __future__ import annotations

import gzip
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from netloom.core.errors import DataError
from netloom.data.builtin_registry import Dataset
from netloom.data.raw.images import Images
from netloom.data.raw.table import Table
from netloom.data.raw_dataset import RawDataset

_CELL = ("radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave points",
         "symmetry", "fractal dimension")  # fmt: skip
_WINE = ("alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids",
         "nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue", "od280/od315_of_diluted_wines",
         "proline")  # fmt: skip
_DIABETES = ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")


def _file(name: str) -> Path:
    spec = find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("scikit-learn is not installed; run pip install scikit-learn to get this dataset.")
    return Path(spec.submodule_search_locations[0]) / "datasets" / "data" / name


@cache
def _numbers(name: str, delimiter: str | None = ",", skip: int = 0) -> np.ndarray:
    path = _file(name)
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    return np.loadtxt(text.splitlines(), delimiter=delimiter, skiprows=skip)


class Digits(Dataset):
    """1,797 handwritten digits of 8×8 pixels. https://archive.ics.uci.edu/dataset/80"""

    name = "digits"
    example_count = 1797
    title = "Handwritten digits"
    known_as = "UCI digits"
    kind = "image"
    task = "classification"
    summary = "1,797 small images of the digits 0 to 9"

    def read(self) -> RawDataset:
        values = _numbers("digits.csv.gz")
        return Images(
            name="image",
            target=values[:, -1].astype(np.int64),
            target_kind="class",
            target_name="digit",
            classes=tuple("0123456789"),
            pixels=values[:, :-1].reshape(-1, 1, 8, 8).astype(np.float32),
            top=16.0,
        )


class BreastCancer(Dataset):
    """569 tumours by 30 measurements of their cells. https://archive.ics.uci.edu/dataset/17"""

    name = "breast_cancer"
    example_count = 569
    title = "Breast cancer"
    known_as = "UCI WDBC"
    kind = "table"
    task = "classification"
    summary = "569 tumors with 30 measurements each: malignant or benign"

    def read(self) -> RawDataset:
        values = _numbers("breast_cancer.csv", skip=1)
        names = [f"{statistic} {measure}".strip() for statistic in ("mean", "", "worst") for measure in _CELL]
        names[10:20] = [f"{measure} error" for measure in _CELL]
        return Table(
            name="features",
            target=values[:, -1].astype(np.int64),
            target_kind="class",
            target_name="diagnosis",
            classes=("malignant", "benign"),
            numbers={name: values[:, i] for i, name in enumerate(names)},
        )


class Wine(Dataset):
    """178 wines by 13 measurements. https://archive.ics.uci.edu/dataset/109"""

    name = "wine"
    example_count = 178
    title = "Wine"
    known_as = "UCI Wine"
    kind = "table"
    task = "classification"
    summary = "178 wines of three growers with 13 chemical measurements each"

    def read(self) -> RawDataset:
        values = _numbers("wine_data.csv", skip=1)
        return Table(
            name="features",
            target=values[:, -1].astype(np.int64),
            target_kind="class",
            target_name="grower",
            classes=("class_0", "class_1", "class_2"),
            numbers={name: values[:, i] for i, name in enumerate(_WINE)},
        )


class Diabetes(Dataset):
    """442 patients by 10 measurements. https://www4.stat.ncsu.edu/~boos/var.select/diabetes.html"""

    name = "diabetes"
    example_count = 442
    title = "Diabetes"
    known_as = "scikit-learn diabetes"
    kind = "table"
    task = "regression"
    summary = "442 patients with 10 measurements each: disease progression after one year"

    def read(self) -> RawDataset:
        values = _numbers("diabetes_data_raw.csv.gz", delimiter=None)
        return Table(
            name="features",
            target=_numbers("diabetes_target.csv.gz", delimiter=None)[:, None],
            target_kind="number",
            target_name="progression",
            numbers={name: values[:, i] for i, name in enumerate(_DIABETES)},
        )
