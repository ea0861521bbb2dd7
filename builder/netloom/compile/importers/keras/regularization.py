"""Layers that are active in training only, and layers without effect."""

from __future__ import annotations

from netloom.compile.importers.keras.graph_builder import KerasTensor, LayerCall
from netloom.compile.importers.keras.operator_table import handles


@handles("Dropout", "GaussianDropout", "AlphaDropout")
def _dropout(use: LayerCall) -> KerasTensor:
    kind = "AlphaDropout" if use.layer.kind == "AlphaDropout" else "Dropout"
    if use.layer.kind == "GaussianDropout":
        use.remark("Gaussian dropout is imported as dropout of the same rate; the predictions are the same.")
    if use.layer.config.get("noise_shape"):
        use.remark("noise_shape is not imported; each value is dropped independently.")
    return use.add_like(kind, {"rate": use.layer.number("rate")}, use.value)


@handles("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")
def _channel_dropout(use: LayerCall) -> KerasTensor:
    value = use.builder.channels_first(use.value)
    return use.add_like(f"Dropout{value.rank - 2}d", {"rate": use.layer.number("rate")}, value)


@handles("GaussianNoise")
def _noise(use: LayerCall) -> KerasTensor:
    return use.add_like("GaussianNoise", {"std": use.layer.number("stddev")}, use.value)


@handles("ActivityRegularization", "Identity")
def _identity(use: LayerCall) -> KerasTensor:
    return use.add_like("Identity", {}, use.value)


@handles("Masking")
def _masking(use: LayerCall) -> KerasTensor:
    use.remark("masks are not imported; steps that Keras would skip are processed like the others.")
    return use.add_like("Identity", {}, use.value)


@handles(
    *("RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast", "RandomBrightness"),
    *("RandomHue", "RandomSaturation", "RandomSharpness", "RandomColorJitter", "RandomShear", "RandomErasing"),
)
def _augmentation(use: LayerCall) -> KerasTensor:
    use.remark("image augmentation is not imported; the predictions are the same.")
    return use.add_like("Identity", {}, use.value)
