"""Generated texts, images from latent variables, and predictions with what a page draws."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch

from netloom.data import DataError
from netloom.runs import TrainedRun, fit_here, predict
from netloom.runs.prediction.latent_samples import latent_size, latent_vectors, sample_latents
from netloom.runs.prediction.live_prediction import predict_live
from netloom.runs.prediction.sampling import Sampling
from netloom.runs.prediction.text_generation import generate
from netloom.templates import templates
from netloom.training.objectives.ranking import names_of


@cache
def untrained(name: str) -> TrainedRun:
    """A run of a template with its random initialization: what is generated has no sense, but all the same rules."""
    project = templates()[name].project
    return fit_here(project.model_copy(update={"training": project.training.model_copy(update={"epochs": 0})}))


def last_text(trained: TrainedRun, row: dict[str, object], sampling: Sampling, length: int) -> str:
    *_, last = generate(trained, row, sampling, length)
    return last.text


def test_greedy_continuation_equals_a_loop_over_predictions() -> None:
    trained = untrained("tales_gpt")
    field = trained.data.token_field(trained.fields[0])
    text = trained.data.row(3)[field.name][:20]
    expected = text
    for _ in range(6):
        scores = trained.output(trained.data.encode({field.name: expected}))[0, min(len(expected), field.length) - 1]
        scores[:2] = -torch.inf  # padding and the unknown token have no text
        expected += field.vocabulary[int(scores.argmax())]
    assert text + last_text(trained, {field.name: text}, Sampling(0.0), 6) == expected


def test_continuation_reads_the_end_of_a_long_text() -> None:
    trained = untrained("tales_gpt")
    field = trained.data.token_field(trained.fields[0])
    text = (trained.data.row(0)[field.name] * 3)[: 2 * field.length]
    whole, end = ({field.name: part} for part in (text, text[-field.length :]))
    assert last_text(trained, whole, Sampling(seed=4), 5) == last_text(trained, end, Sampling(seed=4), 5)


def test_each_step_adds_a_token_and_seeds_give_equal_texts() -> None:
    trained = untrained("tales_gpt")
    row = trained.data.row(0)
    steps = list(generate(trained, row, Sampling(seed=1), 8))
    assert [step.tokens for step in steps] == list(range(1, 9))
    assert [step.ended for step in steps] == [*[False] * 7, True]
    assert all(later.text.startswith(earlier.text) for earlier, later in pairwise(steps))
    assert last_text(trained, row, Sampling(seed=1), 8) == steps[-1].text
    assert last_text(trained, row, Sampling(seed=2), 8) != steps[-1].text


def test_greedy_answer_equals_the_prediction() -> None:
    trained = untrained("dates_gru")
    row = trained.data.row(0)
    [answer] = predict(trained, [row])
    length = trained.data.schema.target.shape[0]
    assert last_text(trained, row, Sampling(0.0), length) == answer["prediction"]
    assert len(last_text(trained, row, Sampling(2.0, seed=1), 2)) <= 2


def test_other_networks_do_not_generate_texts() -> None:
    with pytest.raises(DataError, match="does not generate texts"):
        generate(untrained("ratings_bpr"), {}, Sampling(), 5)
    with pytest.raises(DataError, match="length"):
        generate(untrained("tales_gpt"), {}, Sampling(), 0)


@pytest.mark.parametrize(("name", "size"), [("digits_vae", 6), ("digits_gan", 16)])
def test_images_depend_on_the_latent_vector_alone(name: str, size: int) -> None:
    trained = untrained(name)
    assert latent_size(trained) == size
    samples = sample_latents(trained, 3, 4, (2.0, -1.0))
    assert samples.images.shape == (4, *trained.data.schema.inputs[0].shape)
    assert 0 <= samples.images.min() <= samples.images.max() <= 1
    np.testing.assert_array_equal(samples.latents[0, :2], [2, -1])
    np.testing.assert_array_equal(samples.latents[0, 2:], latent_vectors(size, 3, 1)[0, 2:])
    again = sample_latents(trained, 3, 2, (2.0, -1.0))
    np.testing.assert_array_equal(again.latents, samples.latents[:2])
    np.testing.assert_allclose(again.images, samples.images[:2], atol=1e-6)
    assert abs(sample_latents(trained, 3, 1).images - samples.images[:1]).max() > 1e-4, "the sliders change the image"


def test_latent_vector_of_a_decoder_goes_through_its_decoder() -> None:
    """The image of z equals the reconstruction of an image whose encoder gives z."""
    trained = untrained("digits_vae")
    [layer] = [module for module in trained.model.modules() if type(module).__name__ == "Reparameterize"]
    seen: list[torch.Tensor] = []
    handle = layer.register_forward_hook(lambda module, inputs, output: seen.append(output.clone()))
    prediction = predict_live(trained, trained.data.row(5))
    handle.remove()
    image = sample_latents(trained, 0, 1, tuple(seen[0][0].tolist())).images[0]
    expected = np.array(prediction.reconstruction) * trained.data.image_field(trained.data.fields[0].name).scale
    np.testing.assert_allclose(image, expected.clip(0, 1), atol=1e-5)


def test_networks_without_latent_variables_have_none() -> None:
    assert latent_size(untrained("digits_autoencoder")) == 0
    assert latent_size(untrained("ratings_bpr")) == 0
    with pytest.raises(DataError, match="latent"):
        sample_latents(untrained("ratings_bpr"), 0, 1)


def test_reconstruction_accompanies_its_error() -> None:
    trained = untrained("pulses_anomaly")
    row = trained.data.row(0)
    prediction = predict_live(trained, row)
    after = np.array(prediction.reconstruction)
    before = np.asarray(row[trained.fields[0]], dtype=np.float64).reshape(after.shape)
    std = np.array(trained.data.fields[0].state.std)
    assert np.square((before - after) / std).mean() == pytest.approx(prediction.answer["error"], rel=1e-4)


def test_top_items_are_those_with_the_highest_scores() -> None:
    trained = untrained("ratings_bpr")
    row = trained.data.row(0)
    items = predict_live(trained, row).items
    item, name = trained.data.schema.inputs[1], names_of(trained.data, 1)
    rows = [{**row, item.name: name(number)} for number in range(1, item.vocabulary or 0)]
    scores = [(answer["prediction"], name(index)) for index, answer in enumerate(predict(trained, rows), 1)]
    assert [found.name for found in items] == [title for _, title in sorted(scores, key=lambda pair: -pair[0])[:10]]
