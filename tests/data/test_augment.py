"""Augmentations against formulas or their defining properties, and how batches apply them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from netloom.data import DataError, FieldSpec, Schema, TargetSpec, prepare
from netloom.data.augmentation import Augmenter, augmentations, parsed, previewed, suited, unsuitable_reason
from netloom.data.augmentation.augmentation import Facts, Random
from netloom.data.augmentation.images import turned
from netloom.document import Augment, DataChoice, Training, dumps, loads
from netloom.modalities.encoding.field_encoder import FieldEncoder, field_encoder
from netloom.modalities.encoding.tokenization import PAD, UNKNOWN
from tests.networks import digits_mlp


def fitted(state: dict[str, Any]) -> FieldEncoder[Any]:
    return field_encoder({"name": "field", **state})


PICTURE = Facts(
    FieldSpec("image", "image", (3, 12, 10)),
    fitted({"encoding": "image", "shape": [3, 12, 10], "mean": 0.4, "std": 0.25, "scale": 1.0}),
)
UNIT_IMAGE = {"encoding": "image", "shape": [3, 12, 10], "scale": 1.0}
UNSCALED = {"encoding": "series", "mean": 0.0, "std": 1.0}
SERIES = Facts(FieldSpec("sound", "sequence", (64, 1)), fitted({**UNSCALED, "shape": [64, 1]}))
SPECTRUM = Facts(FieldSpec("sound", "sequence", (64, 40)), fitted({**UNSCALED, "shape": [64, 40]}))
WORDS = Facts(
    FieldSpec("text", "tokens", (20,), vocabulary=500), fitted({"encoding": "words", "vocabulary": [], "length": 20})
)
TABLE = Facts(FieldSpec("features", "vector", (6,)), fitted({"encoding": "table", "columns": []}))
FIELDS = {"image": PICTURE, "sequence": SERIES, "tokens": WORDS, "vector": TABLE}
ROWS = 400


def random(seed: int = 0) -> Random:
    return Random(torch.Generator().manual_seed(seed), np.random.default_rng(seed))


def values(facts: Facts, rows: int = ROWS) -> torch.Tensor:
    """Example values of a field: images between black and white, texts with an end."""
    generator = torch.Generator().manual_seed(1)
    shape = (rows, *facts.spec.shape)
    if facts.spec.kind == "tokens":
        numbers = torch.randint(2, 500, shape, generator=generator)
        ends = torch.randint(3, 21, (rows, 1), generator=generator)
        return numbers.masked_fill(torch.arange(20) >= ends, PAD)
    if facts.spec.kind == "image":
        return (torch.rand(shape, generator=generator) - 0.4) / 0.25
    return torch.randn(shape, generator=generator)


def changed(name: str, facts: Facts, inputs: torch.Tensor | None = None, **params: Any) -> tuple[Any, Any]:
    """A field before and after one augmentation."""
    inputs = values(facts) if inputs is None else inputs
    augmentation: Any = augmentations()[name](**params)
    if hasattr(augmentation, "change"):
        return inputs, augmentation.change(inputs, facts, random())
    return inputs, augmentation.moves(inputs, facts, random())(inputs, not inputs.is_floating_point())


@pytest.mark.parametrize("name", augmentations())
def test_augmentation_declares_texts_and_valid_defaults(name: str) -> None:
    kind = augmentations()[name]
    assert kind.title
    assert kind.summary
    assert not kind.summary.endswith(".")
    assert parsed(Augment(kind=name)) == kind()
    for field in kind.model_fields.values():
        assert field.description
        assert not field.description.endswith(".")
    facts = FIELDS[kind.kinds[0]]
    assert kind().suits(facts)


@pytest.mark.parametrize("name", [name for name in augmentations() if name not in ("mixup", "cutmix")])
def test_augmentation_preserves_shape_and_is_deterministic(name: str) -> None:
    kind = augmentations()[name]
    for field_kind in kind.kinds:
        inputs, after = changed(name, FIELDS[field_kind])
        before = inputs.clone()
        assert after.shape == inputs.shape
        assert after.dtype == inputs.dtype
        assert torch.equal(inputs, before)
        assert torch.equal(after, changed(name, FIELDS[field_kind])[1])
        assert not torch.equal(after, inputs)
        if field_kind == "image":
            assert after.min() >= -0.4 / 0.25 - 1e-5
            assert after.max() <= 0.6 / 0.25 + 1e-5


@pytest.mark.parametrize(("name", "axis"), [("horizontal_flip", 3), ("vertical_flip", 2)])
def test_flip_is_an_involution_on_half_the_rows(name: str, axis: int) -> None:
    inputs, always = changed(name, PICTURE, chance=1.0)
    assert torch.equal(always, torch.from_numpy(np.flip(inputs.numpy(), axis).copy()))
    assert torch.equal(changed(name, PICTURE, always, chance=1.0)[1], inputs)
    inputs, after = changed(name, PICTURE)
    mirrored = (after != inputs).flatten(1).any(1)
    assert 0.4 < mirrored.float().mean() < 0.6
    assert torch.equal(after[mirrored], always[mirrored])


def test_rotation_by_right_angles_matches_torch_rot90() -> None:
    square = Facts(FieldSpec("image", "image", (2, 9, 9)), PICTURE.encoder)
    inputs = values(square, 5)
    kind: Any = augmentations()["rotate"]
    for quarters in (1, 2, 3):

        class Fixed(kind):  # type: ignore[misc]
            def matrices(self, rows: int, random: Random, by: float = 90.0 * quarters) -> torch.Tensor:
                return turned(torch.full((rows,), by))

        move = Fixed().moves(inputs, square, random())
        expected = torch.rot90(inputs, quarters, (2, 3))
        assert torch.allclose(move(inputs, False), expected, atol=1e-4)
        assert torch.equal(move(inputs, True), expected)  # nearest pixel, without interpolation


def test_rotation_of_a_wide_image_preserves_lengths() -> None:
    wide = torch.zeros(1, 1, 41, 81)
    wide[0, 0, 20, 30:51] = 1.0  # a line of 21 pixels
    kind: Any = augmentations()["rotate"]

    class Quarter(kind):  # type: ignore[misc]
        def matrices(self, rows: int, random: Random) -> torch.Tensor:
            return turned(torch.full((rows,), 90.0))

    after = Quarter().moves(wide, PICTURE, random())(wide, False)
    assert after[0, 0, 10:31, 40].tolist() == pytest.approx([1.0] * 21, abs=1e-3)
    assert after.sum() == pytest.approx(21, rel=1e-3)


def test_scale_stays_within_its_bounds() -> None:
    inputs = torch.zeros(ROWS, 1, 33, 33)
    inputs[:, :, 12:21, 12:21] = 1.0
    after = changed("scale", PICTURE, inputs, smallest=0.5, largest=2.0)[1]
    scales = after.sum((1, 2, 3)).sqrt() / 9
    assert 0.45 < scales.min() < 0.6
    assert 1.8 < scales.max() < 2.1
    assert scales.log().mean().abs() < 0.08


def test_crop_shifts_by_whole_pixels_and_replicates_edges() -> None:
    inputs, after = changed("crop", PICTURE, padding=0.2)
    _, _, height, width = inputs.shape
    down, right = round(0.2 * height), round(0.2 * width)
    padded = torch.nn.functional.pad(inputs, (right, right, down, down), "replicate")
    shifts = set()
    for row in range(60):
        fits = [
            (top, left)
            for top in range(2 * down + 1)
            for left in range(2 * right + 1)
            if torch.equal(padded[row, :, top : top + height, left : left + width], after[row])
        ]
        assert len(fits) == 1
        shifts.update(fits)
    assert len(shifts) > 15


def test_brightness_and_contrast_are_affine_per_image() -> None:
    facts = Facts(PICTURE.spec, fitted({**UNIT_IMAGE, "mean": 0.0, "std": 0.5}))
    inputs = 0.8 + 0.05 * values(TABLE)[:, :1, None, None].expand(ROWS, 3, 12, 10) * 0
    inputs = inputs + 0.1 * torch.randn(inputs.shape, generator=torch.Generator().manual_seed(3))
    after = changed("brightness", facts, inputs, brightness=0.1, contrast=0.3)[1]
    middle, moved = inputs.mean((2, 3)), after.mean((2, 3))
    added = (moved - middle) * 0.5
    assert added.abs().max() <= 0.1 + 1e-5
    assert added.std() == pytest.approx(0.1 / math.sqrt(3), rel=0.15)
    std_ratio = after.std((2, 3)) / inputs.std((2, 3))
    assert std_ratio.min() > 0.69
    assert std_ratio.max() < 1.31
    assert torch.allclose(std_ratio, std_ratio[:, :1].expand_as(std_ratio), atol=1e-3)


def test_color_preserves_luminance_and_rotates_hue() -> None:
    facts = Facts(PICTURE.spec, fitted({**UNIT_IMAGE, "mean": [0.1, 0.2, 0.3], "std": [0.5, 0.4, 0.3]}))
    pixels = 0.4 + 0.1 * torch.rand(50, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    mean, std = (torch.tensor(numbers).reshape(1, 3, 1, 1) for numbers in ([0.1, 0.2, 0.3], [0.5, 0.4, 0.3]))
    after = changed("color", facts, (pixels - mean) / std, saturation=0.5, hue=60.0)[1] * std + mean
    luminance = torch.tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)
    assert torch.allclose((after * luminance).sum(1), (pixels * luminance).sum(1), atol=1e-3)
    assert (after - pixels).abs().max() > 0.02
    grey = torch.full((5, 3, 4, 4), 0.5)
    assert torch.allclose(changed("color", facts, (grey - mean) / std)[1] * std + mean, grey, atol=1e-3)
    assert augmentations()["color"]().suits(PICTURE)
    assert not augmentations()["color"]().suits(Facts(FieldSpec("image", "image", (1, 5, 5)), PICTURE.encoder))


def test_noise_standard_deviation_stays_within_its_maximum() -> None:
    grey = torch.zeros(ROWS, 1, 16, 16)
    deviation = changed("gaussian_noise", PICTURE, grey, amount=0.1)[1].std((1, 2, 3)) * 0.25
    assert 0.08 < deviation.max() < 0.115
    assert deviation.mean() == pytest.approx(0.05, rel=0.12)


def test_blur_matches_scipy_gaussian_filter() -> None:
    from scipy.ndimage import gaussian_filter

    point = torch.full((ROWS, 1, 25, 25), -1.0)
    point[:, 0, 12, 12] = 1.0
    after = changed("blur", PICTURE, point, radius=1.5, chance=1.0)[1].numpy()
    for row in range(5):
        # The height of the peak determines the standard deviation and thus the whole kernel.
        height = (after[row, 0, 12, 12] + 1) / 2
        deviations = np.linspace(0.1, 1.5, 600)
        kernels = [np.exp(-(np.arange(-5, 6) ** 2) / (2 * std**2)) for std in deviations]
        deviation = deviations[np.argmin([abs((kernel[5] / kernel.sum()) ** 2 - height) for kernel in kernels])]
        expected = gaussian_filter(point[row, 0].numpy(), deviation, mode="nearest", radius=5)
        assert np.abs(after[row, 0] - expected).max() < 5e-3
    assert np.allclose(after.mean((1, 2, 3)), point.mean((1, 2, 3)), atol=1e-4)


def test_cutout_masks_one_rectangle_of_the_requested_area() -> None:
    inputs = values(Facts(FieldSpec("image", "image", (3, 40, 40)), PICTURE.encoder))
    after = changed("cutout", PICTURE, inputs, smallest=0.05, largest=0.3, chance=1.0)[1]
    covered = (after == 0).all(1)
    for mask in covered:
        rows, columns = mask.any(1), mask.any(0)
        assert mask.sum() == rows.sum() * columns.sum()  # one contiguous rectangle
        assert rows.int().diff().abs().sum() <= 2
        assert columns.int().diff().abs().sum() <= 2
    share = covered.float().mean((1, 2))
    assert share.min() > 0.04
    assert share.max() < 0.32
    assert share.mean() == pytest.approx(0.175, rel=0.1)
    assert covered.any(0).float().mean() > 0.97  # any position is possible
    assert torch.equal(after[~covered[:, None].expand_as(after)], inputs[~covered[:, None].expand_as(inputs)])


def test_jitter_scaling_and_time_shift_stay_within_bounds() -> None:
    inputs, after = changed("jitter", SPECTRUM, amount=0.3)
    assert (after - inputs).std() == pytest.approx(0.3, rel=0.02)
    inputs, after = changed("scaling", SPECTRUM, amount=0.4)
    ratio = (after / inputs).flatten(1)
    assert torch.allclose(ratio, ratio[:, :1].expand_as(ratio), rtol=1e-3)
    assert 0.6 <= ratio.min() < 0.63
    assert 1.37 < ratio.max() <= 1.4001
    inputs, after = changed("time_shift", SERIES, largest=0.2)
    observed = set()
    for row in range(80):
        first, last = inputs[row, :1], inputs[row, -1:]
        shifts = {
            shift: torch.cat([first.expand(max(shift, 0), 1), inputs[row, max(-shift, 0) : 64 - max(shift, 0)],
                              last.expand(max(-shift, 0), 1)])
            for shift in range(-13, 14)
        }  # fmt: skip
        fits = [shift for shift, expected in shifts.items() if torch.equal(expected, after[row])]
        assert len(fits) == 1
        observed.update(fits)
    assert min(observed) < -10
    assert max(observed) > 10


def test_time_and_frequency_masks_hide_one_interval() -> None:
    for name, axis, length in (("time_mask", 1, 64), ("frequency_mask", 2, 40)):
        inputs, after = changed(name, SPECTRUM, masks=1, largest=0.25)
        hidden = (after == 0).all(3 - axis)
        assert hidden.sum(1).max() == round(0.25 * length)
        assert hidden.int().diff(dim=1).abs().sum(1).max() <= 2
        assert torch.equal(after == 0, hidden.unsqueeze(3 - axis).expand_as(inputs))
        assert hidden.float().mean() == pytest.approx(0.125, rel=0.15)


def test_frequency_mask_removes_one_band_of_a_waveform() -> None:
    inputs, after = changed("frequency_mask", SERIES, masks=1, largest=0.3)
    spectrum_before, spectrum_after = (torch.fft.rfft(waves[:, :, 0]).abs() for waves in (inputs, after))
    masked = spectrum_after < 1e-4
    assert masked.int().diff(dim=1).abs().sum(1).max() <= 2
    assert masked.float().mean() > 0.1
    assert torch.allclose(spectrum_after[~masked], spectrum_before[~masked], atol=1e-3)


def test_token_dropout_drops_the_requested_share() -> None:
    inputs, after = changed("token_dropout", WORDS, share=0.2)
    real = inputs != PAD
    assert torch.equal(after[~real], inputs[~real])
    dropped = after != inputs
    assert set(after[dropped].tolist()) == {UNKNOWN}
    assert dropped.sum() / real.sum() == pytest.approx(0.2, abs=0.02)
    inputs, after = changed("token_dropout", WORDS, share=0.5, become="another")
    assert torch.equal(after[inputs == PAD], inputs[inputs == PAD])
    assert after[inputs != PAD].min() > UNKNOWN
    assert len(set(after[after != inputs].tolist())) > 300


def test_word_swap_permutes_adjacent_words() -> None:
    inputs, after = changed("word_swap", WORDS, share=0.3)
    assert torch.equal(inputs.sort(1)[0], after.sort(1)[0])
    moved = inputs != after
    assert torch.equal(after == PAD, inputs == PAD)
    for row in range(ROWS):
        at = moved[row].nonzero().flatten().tolist()
        assert all(inputs[row, index] in after[row, max(0, index - 1) : index + 2].tolist() for index in at)
    assert moved.sum() / (inputs != PAD).sum() == pytest.approx(0.3, abs=0.05)


def declared(*names: str, **params: Any) -> list[Augment]:
    return [Augment(kind=name, params=params) for name in names]


def test_mixup_weights_follow_beta_and_preserve_the_mean() -> None:
    data = prepare(DataChoice(dataset="digits"))
    rows = data.split["train"][:64]
    inputs, target = data.inputs["image"][rows], data.target[rows]
    augmenter = Augmenter(declared("mixup", alpha=0.4), data, ["image"])
    shares = []
    for seed in range(400):
        (after,), same, mixed = augmenter([inputs], target, (0, 0, seed))
        assert mixed is not None
        assert torch.equal(same, target)
        assert sorted(mixed.partner.tolist()) == list(range(64))
        assert (mixed.partner != torch.arange(64)).all()
        if seed < 20:
            expected = mixed.share * inputs + (1 - mixed.share) * inputs[mixed.partner]
            assert torch.allclose(after, expected)
            assert torch.allclose(after.mean(0), inputs.mean(0), atol=1e-5)
        shares.append(mixed.share)
    samples = np.random.default_rng(0).beta(0.4, 0.4, 100_000)
    assert min(shares) >= 0.5
    assert np.mean(shares) == pytest.approx(np.maximum(samples, 1 - samples).mean(), abs=0.02)


def test_cutmix_weights_targets_by_area() -> None:
    data = prepare(DataChoice(dataset="digits"))
    rows = data.split["train"][:16]
    inputs, target = torch.rand(16, 1, 8, 8) + 1, data.target[rows]
    augmenter = Augmenter(declared("cutmix"), data, ["image"])
    shares = []
    for seed in range(200):
        (after,), _, mixed = augmenter([inputs], target, (0, 0, seed))
        assert mixed is not None
        replaced = after != inputs
        assert torch.equal(replaced, replaced[:1].expand_as(replaced))
        assert torch.equal(after, inputs[mixed.partner].where(replaced, inputs))
        assert mixed.share == pytest.approx(1 - float(replaced[0].float().mean()))
        shares.append(mixed.share)
    assert min(shares) < 0.4
    assert max(shares) > 0.9


def test_each_batch_draws_one_mixing_augmentation() -> None:
    data = prepare(DataChoice(dataset="digits"))
    rows = data.split["train"][:8]
    augmenter = Augmenter(declared("mixup", "cutmix"), data, ["image"])
    inputs = torch.rand(8, 1, 8, 8) + 1
    keeps_pixels = [
        bool((augmenter([inputs], data.target[rows], (0, 0, seed))[0][0] == inputs).any()) for seed in range(60)
    ]
    assert 10 < sum(keeps_pixels) < 50  # CutMix leaves some pixels unchanged, mixup none


@pytest.mark.parametrize("name", ["horizontal_flip", "vertical_flip", "crop", "rotate", "scale"])
def test_segmentation_masks_transform_with_their_images(name: str) -> None:
    data = prepare(DataChoice(dataset="shape_masks"))
    rows = data.split["train"][:40]
    mask = data.target[rows]
    # The image equals its mask, so both must agree after any geometric transform.
    picture = mask.unsqueeze(1).float()
    (after,), moved, mixed = Augmenter(declared(name), data, ["image"])([picture], mask, (1, 2, 3))
    assert mixed is None
    assert moved.dtype == mask.dtype
    assert not torch.equal(moved, mask)
    assert set(moved.flatten().tolist()) <= set(mask.flatten().tolist())
    blended = (after[:, 0] - after[:, 0].round()).abs() > 0.01
    assert (after[:, 0].round() == moved)[~blended].float().mean() > 0.97


def test_reconstruction_target_follows_geometry_but_not_noise() -> None:
    data = prepare(DataChoice(dataset="digits"))
    rows = data.split["train"][:32]
    inputs = data.inputs["image"]
    moved = Augmenter(declared("crop"), data, ["image"], inputs)([inputs[rows]], inputs[rows], (0, 0, 0))
    assert torch.equal(moved[0][0], moved[1])
    assert not torch.equal(moved[1], inputs[rows])
    noisy = Augmenter(declared("gaussian_noise", "cutout"), data, ["image"], inputs)(
        [inputs[rows]], inputs[rows], (0, 0, 0)
    )
    assert torch.equal(noisy[1], inputs[rows])
    assert not torch.equal(noisy[0][0], inputs[rows])
    mixed = Augmenter(declared("mixup"), data, ["image"], inputs)([inputs[rows]], inputs[rows], (0, 0, 0))
    assert torch.equal(mixed[0][0], mixed[1])
    assert mixed[2] is None


@pytest.mark.parametrize("name", ["requests", "commands"])
def test_word_swap_keeps_tags_aligned_with_words(name: str) -> None:
    data = prepare(DataChoice(dataset=name))
    rows = data.split["train"][:100]
    words, target = data.inputs["text"][rows], data.target[rows]
    (after,), moved, _ = Augmenter(declared("word_swap", share=1.0), data, ["text"])([words], target, (0, 0, 0))
    assert not torch.equal(after, words)
    if name == "commands":
        assert torch.equal(moved[:, 0], target[:, 0])
        moved, target = moved[:, 1:], target[:, 1:]

    def pairs(first: torch.Tensor, second: torch.Tensor) -> list[list[tuple[int, int]]]:
        return [sorted(zip(*both, strict=True)) for both in zip(first.tolist(), second.tolist(), strict=True)]

    assert pairs(after, moved) == pairs(words, target)


def test_augmentation_depends_only_on_seed_epoch_and_row() -> None:
    data = prepare(DataChoice(dataset="digits"))
    rows = data.split["train"][:16]
    augmenter = Augmenter(declared("crop", "gaussian_noise", "mixup"), data, ["image"])
    inputs = [data.inputs["image"][rows]]

    def at(*seed: int) -> torch.Tensor:
        before = torch.get_rng_state()
        torch.rand(3)
        after = augmenter(inputs, data.target[rows], seed)[0][0]
        torch.set_rng_state(before)
        return after

    state = torch.get_rng_state()
    first = at(5, 2, 64)
    assert torch.equal(first, at(5, 2, 64))
    assert all(not torch.equal(first, at(*other)) for other in ((6, 2, 64), (5, 3, 64), (5, 2, 0)))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("augment", "names", "words"),
    [
        (Augment(kind="magic"), None, "There is no augmentation"),
        (Augment(kind="rotate", params={"degrees": 1e9}), None, "degrees"),
        (Augment(kind="rotate", params={"angle": 3}), None, "angle"),
        (Augment(kind="rotate", field="nowhere"), None, "nowhere"),
        (Augment(kind="token_dropout"), None, "for texts"),
        (Augment(kind="cutmix"), None, "whole examples"),
        (Augment(kind="mixup"), None, ""),
        (Augment(kind="cutmix"), ["image"], ""),
        (Augment(kind="crop"), ["measured"], "for images"),
        (Augment(kind="color"), ["image"], "Color is for color images, and the network reads none."),
    ],
)
def test_unsuitable_augmentation_is_rejected_with_a_message(
    augment: Augment, names: Sequence[str] | None, words: str
) -> None:
    schema = Schema(
        (FieldSpec("image", "image", (1, 8, 8)), FieldSpec("measured", "vector", (2,))), TargetSpec("class"), 90
    )
    try:
        message = unsuitable_reason(augment, schema, None if names is None else list(names))
    except DataError as error:
        message = str(error)
    assert bool(message) == bool(words)
    assert words in message
    assert not message or message.endswith(".")


def test_word_swap_is_rejected_for_next_token_prediction() -> None:
    data = prepare(DataChoice(dataset="tales"))
    expected = "Word swap reorders words without their targets; remove it."
    assert unsuitable_reason(Augment(kind="word_swap"), data.schema) == expected
    assert unsuitable_reason(Augment(kind="token_dropout"), data.schema) == ""


def test_token_dropout_is_rejected_for_category_indices() -> None:
    data = prepare(DataChoice(dataset="clicks"))
    assert suited(data.schema.inputs[0], data.fields[0]) == []
    with pytest.raises(DataError, match="fits no field"):
        Augmenter(declared("token_dropout"), data, ["shown"])


@pytest.mark.parametrize(
    ("dataset", "names", "kinds"),
    [
        ("shape_masks", ["image"], ["horizontal_flip", "rotate"]),
        ("same_digits", ["first", "second"], ["crop", "mixup"]),
        ("spoken", ["sound"], ["time_shift", "mixup"]),
        ("intents", ["text"], ["token_dropout", "word_swap"]),
        ("breast_cancer", ["features"], ["jitter"]),
    ],
)
def test_preview_returns_deterministic_augmented_examples(dataset: str, names: list[str], kinds: list[str]) -> None:
    data = prepare(DataChoice(dataset=dataset))
    row = int(data.split["train"][3])
    previews = previewed(data, names, declared(*kinds), row, 5)
    assert len(previews) == 5
    example = data.example(row)
    for augmented, note in previews:
        assert augmented.row == row
        assert bool(note) == ("mixup" in kinds)
        if example.image is not None:
            assert augmented.image.shape == example.image.shape
            assert -1e-6 <= augmented.image.min() <= augmented.image.max() <= 1 + 1e-6
    assert any(repr(augmented) != repr(example) for augmented, _ in previews)
    assert repr(previews) == repr(previewed(data, names, declared(*kinds), row, 5))


def test_augmentations_round_trip_through_the_document() -> None:
    project = digits_mlp()
    plain = dumps(project)
    assert "augment" not in plain
    training = Training(augment=(Augment(kind="crop", params={"padding": 0.2}), Augment(kind="mixup")))
    augmented = project.model_copy(update={"training": training})
    assert loads(dumps(augmented)) == augmented
