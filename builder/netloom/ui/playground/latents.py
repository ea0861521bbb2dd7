"""Images that a run generates from latent variables, with a slider for each of the first ones."""

from __future__ import annotations

from functools import partial

import streamlit as st

from netloom.data.images import channels_last
from netloom.jobs import RunWeights
from netloom.jobs.requests.predictions import SampleLatents
from netloom.runs.prediction.latent_samples import latent_vectors
from netloom.ui.components.column_row import OnPhone, column_row
from netloom.ui.components.examples.image_urls import enlarged
from netloom.ui.components.page_state import set_value, value_of
from netloom.ui.explain.open_run import OpenRun
from netloom.ui.playground.state import Key
from netloom.ui.shell.jobs import computed

SLIDERS, SAMPLES, ACROSS = 6, 12, 6
RANGE = 3.0


def latents(trained: OpenRun, weights: RunWeights, size: int) -> None:
    """Draw the sliders of the first of `size` latent variables, the image that they give, and further samples."""
    if not size:
        st.info("This network does not generate images from latent variables only.")
        return
    run_id = trained.run.id
    st.markdown("### Generated images")
    left, right = st.columns([1, 1.15], gap="large")
    with left:
        seed = _seed(run_id)
        first = _sliders(run_id, seed, size)
    samples = computed(SampleLatents(weights, seed, SAMPLES, first), "Generating …")
    with right, st.container(key=Key.LATENT_IMAGES.of(run_id)):
        st.image(enlarged(channels_last(samples.images[0])), width=220, alt="Image generated from the sliders")
        st.caption("The image for the values of the sliders. Below: images of other latent vectors from the same seed.")
        for start in range(1, SAMPLES, ACROSS):
            images = samples.images[start : start + ACROSS]
            columns = column_row(ACROSS, Key.LATENT_IMAGES.of(run_id, start), OnPhone.WHOLE)
            for column, image in zip(columns, images, strict=False):
                column.image(enlarged(channels_last(image)), width="stretch", alt="Generated image")


def _seed(run_id: str) -> int:
    """Draw the seed of the latent vectors, and return it."""
    key = Key.LATENT_SEED.of(run_id)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        seed = st.number_input("Seed", 0, 10**6, key=key, help="The latent vectors z ~ N(0, 1) depend on it.")
        st.button(
            "Next", icon=":material/skip_next:", key=Key.LATENT_NEXT.of(run_id), on_click=partial(_next_seed, key)
        )
    return int(seed)


def _next_seed(key: str) -> None:
    set_value(key, min(int(value_of(key, 0)) + 1, 10**6))


def _sliders(run_id: str, seed: int, size: int) -> tuple[float, ...]:
    """Draw the sliders, which start at the latent vector of the seed, and return their values."""
    start = latent_vectors(size, seed, 1)[0].clip(-RANGE, RANGE)
    values = []
    for number, value in enumerate(start[:SLIDERS]):
        key = Key.LATENT.of(run_id, seed, number)
        values.append(st.slider(f"z{number + 1}", -RANGE, RANGE, round(float(value), 2), 0.05, key=key))
    if size > SLIDERS:
        st.caption(f"The other {size - SLIDERS} latent variables have the values of the seed.")
    return tuple(float(value) for value in values)
