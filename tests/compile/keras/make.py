"""Creates the models in this folder, each with inputs and the outputs of Keras.

Run with Keras 3 and JAX to create all models or only the named ones:

KERAS_BACKEND=jax python tests/compile/keras/make.py [NAME ...]

JAX pads and resizes as TensorFlow does; the PyTorch backend of Keras differs where padding is uneven.
"""

# mypy: ignore-errors

import json
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
from keras import layers as kl
from keras import ops

HERE = Path(__file__).parent
RNG = np.random.default_rng(0)


def mlp():
    return keras.Sequential(
        [kl.Input((6,)), kl.Dense(8, "relu"), kl.BatchNormalization(), kl.Dropout(0.3), kl.Dense(3, "softmax")]
    )


def digits():
    return keras.Sequential(
        [
            kl.Input((9, 8, 2)),
            kl.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
            kl.BatchNormalization(),
            kl.MaxPooling2D(2, padding="same"),
            kl.Conv2D(5, (3, 2), padding="same", activation="gelu"),
            kl.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
            kl.LeakyReLU(0.1),
            kl.SeparableConv2D(6, 3, padding="same"),
            kl.PReLU(shared_axes=[1, 2]),
            kl.Flatten(),
            kl.ReLU(),
            kl.BatchNormalization(),
            kl.Dropout(0.1),
            kl.Dense(4),
        ]
    )


def strides():
    x = start = kl.Input((11, 10, 3))
    outs = [
        kl.Conv2D(2, 4, strides=3, padding="same")(x),
        kl.Conv2D(2, 2, strides=(2, 1), padding="same")(x),
        kl.Conv2D(4, 3, dilation_rate=2, padding="same", use_bias=False)(x),
        kl.Conv2D(6, 3, groups=3, activation="softmax")(x),
        kl.DepthwiseConv2D((3, 5), padding="same")(x),
        kl.DepthwiseConv2D(3, strides=2, padding="same")(x),
        kl.MaxPooling2D(3, strides=2, padding="same")(x),
        kl.MaxPooling2D((1, 2))(x),
        kl.MaxPooling2D(2, strides=1, padding="same")(x),
        kl.AveragePooling2D(2, padding="same")(x),
        kl.AveragePooling2D(3, strides=2, padding="same")(x),
        kl.AveragePooling2D(3, strides=1, padding="same")(x),
        kl.AveragePooling2D((2, 3), padding="same")(x),
        kl.Conv2DTranspose(3, 3, strides=2, padding="same")(x),
        kl.Conv2DTranspose(3, 4, strides=2, padding="same")(x),
        kl.Conv2DTranspose(2, 2, strides=3)(x),
        kl.Conv2DTranspose(2, 2, strides=3, padding="same")(x),
        kl.ZeroPadding2D(((1, 2), (0, 3)))(x),
        kl.Cropping2D(((1, 2), (0, 3)))(x),
        kl.UpSampling2D(2)(x),
        kl.UpSampling2D((2, 3))(x),
        kl.UpSampling2D(2, interpolation="bilinear")(x),
    ]
    return keras.Model(start, [kl.GlobalMaxPooling2D()(kl.Softmax(1)(out)) for out in outs] + outs[:16])


def volume():
    return keras.Sequential(
        [
            kl.Input((5, 6, 7, 2)),
            kl.Conv3D(3, 3, strides=2, padding="same", activation="tanh"),
            kl.ZeroPadding3D(1),
            kl.Cropping3D(((1, 0), (0, 1), (1, 0))),
            kl.MaxPooling3D(2),
            kl.UpSampling3D(2),
            kl.GlobalAveragePooling3D(),
        ]
    )


def signal():
    x = start = kl.Input((20, 3))
    x = kl.Conv1D(4, 5, strides=2, padding="same", activation="relu")(x)
    x = kl.BatchNormalization()(x)
    x = kl.MaxPooling1D(2)(x)
    x = kl.Conv1D(6, 3, padding="causal", dilation_rate=2)(x)
    x = kl.LayerNormalization()(x)
    x = kl.GroupNormalization(3)(x)
    x = kl.SpatialDropout1D(0.1)(x)
    x = kl.UpSampling1D(2)(kl.ZeroPadding1D((1, 2))(x))
    x = kl.Conv1DTranspose(5, 3, strides=2, padding="same")(x)
    x = kl.AveragePooling1D(3, strides=2, padding="same")(x)
    x = kl.SeparableConv1D(4, 3, padding="same")(x)
    x = kl.Cropping1D((1, 0))(x)
    flat = kl.Dense(3)(kl.Flatten()(x))
    return keras.Model(start, [flat, kl.GlobalAveragePooling1D()(x), kl.GlobalMaxPooling1D(keepdims=True)(x), x])


def text():
    x = start = kl.Input((7,))
    x = kl.Embedding(20, 6)(x)
    a = kl.Bidirectional(kl.LSTM(4, return_sequences=True))(x)
    a = kl.Bidirectional(kl.GRU(3), merge_mode="sum")(a)
    b = kl.GRU(5, return_sequences=True)(x)
    b = kl.SimpleRNN(4, activation="relu", return_sequences=True, go_backwards=True)(b)
    b = kl.LSTM(3, use_bias=False)(b)
    c = kl.TimeDistributed(kl.Dense(4, activation="tanh"))(x)
    c = kl.MultiHeadAttention(2, 5)(c, c, use_causal_mask=True)
    d = kl.MultiHeadAttention(3, 2)(c, x)
    d = kl.Attention()([d, c])
    e = kl.Permute((2, 1))(kl.RepeatVector(4)(b))
    return keras.Model(start, [a, b, c, d, e, kl.Concatenate()([a, b])])


def states():
    """Encoders whose final states begin decoders, and a state that is an input."""
    x, y, given = kl.Input((5, 4)), kl.Input((6, 4)), kl.Input((3,))
    out, *first = kl.LSTM(3, return_state=True)(x)
    a = kl.LSTM(3, return_sequences=True)(y, initial_state=first)
    both, *second = kl.Bidirectional(kl.LSTM(2, return_state=True, return_sequences=True))(x)
    b = kl.Bidirectional(kl.LSTM(2, use_bias=False), merge_mode="ave")(y, initial_state=second)
    c = kl.SimpleRNN(3, go_backwards=True, return_state=True)(x, initial_state=given)
    d, *third = kl.Bidirectional(kl.GRU(3, return_state=True))(x)
    return keras.Model([x, y, given], [out, *first, a, both, *second, b, *c, d, *third])


def gates():
    """Recurrent layers with other activations than tanh and sigmoid, and a GRU that resets before the product."""
    x = kl.Input((5, 4))
    a = kl.LSTM(3, recurrent_activation="hard_sigmoid", return_sequences=True)(x)
    b = kl.Bidirectional(kl.GRU(3, reset_after=False, recurrent_activation="hard_sigmoid"))(x)
    c, *final = kl.LSTM(3, activation="relu", return_state=True)(x)
    d = kl.GRU(3, activation="softsign", go_backwards=True)(x, initial_state=final[0])
    return keras.Model(x, [a, b, c, *final, d, kl.SimpleRNN(3, activation="sigmoid", use_bias=False)(x)])


def operations():
    """Functions of keras.ops on sequences and images, and a product that an equation describes."""
    x, image = kl.Input((5, 4)), kl.Input((6, 8, 3))
    scores = ops.softmax(ops.matmul(x, ops.transpose(x, (0, 2, 1))) / 2.0)
    dense = kl.EinsumDense("abc,cd->abd", output_shape=(None, 3), bias_axes="d")(x)
    reduced = [ops.max(x, 1, keepdims=True), ops.sum(x, axis=[1, 2], keepdims=True), ops.norm(x, axis=-1)]
    reduced += [ops.min(x, -1), ops.std(x, 1), ops.mean(x, axis=(1, 2), keepdims=True), ops.mean(image, axis=[1, 2])]
    reduced += [ops.max(image, axis=3), ops.mean(ops.transpose(image, (0, 3, 1, 2)), axis=-1)]
    shaped = [x[:, -1], x[:, 1:5:2, 1], ops.reshape(x, (-1, 20)), ops.expand_dims(x, 1)]
    shaped += [ops.stack([x, x], 1), ops.concatenate([x, -x], -1), ops.clip(ops.square(x) ** 0.5, 0.1, 1)]
    return keras.Model([x, image], [scores, dense, *reduced, *shaped, kl.CenterCrop(3, 4)(image)])


def parts():
    """Normalizations without scale or shift, a layer of cells, and hard activations."""
    x = start = kl.Input((6, 8))
    x = kl.BatchNormalization(center=False)(x)
    x = kl.LayerNormalization(center=False)(x)
    x = kl.GroupNormalization(2, center=False)(x)
    x = kl.LayerNormalization(scale=False)(kl.BatchNormalization(scale=False)(x))
    a = kl.RNN(kl.LSTMCell(3), return_sequences=True)(x)
    b = kl.Dense(4, "hard_sigmoid")(kl.Activation("hard_silu")(x))
    return keras.Model(start, [a, b])


def branches():
    image, table = kl.Input((6, 6, 2), name="image"), kl.Input((4,), name="table")
    block = keras.Sequential([kl.Input((6, 6, 2)), kl.Conv2D(3, 3), kl.BatchNormalization(), kl.Flatten()], name="arm")
    inner_in = kl.Input((48,))
    shared = kl.Dense(5, "elu")
    first, second = block(image), block(kl.Rescaling(0.5, -1)(image))
    inner = keras.Model(inner_in, [kl.Dense(2)(inner_in), kl.Dense(3)(inner_in)], name="two heads")
    heads = inner(first)
    x = kl.Add()([shared(first), shared(second)])
    y = kl.Concatenate()([x, kl.Dense(5)(table)])
    norm = kl.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[1.0, 4.0, 9.0, 0.5])(table)
    gate = kl.Multiply()([kl.Subtract()([x, kl.Dense(5)(norm)]), kl.Average()([x, shared(second)])])
    x, gate = kl.Activation("tanh")(x), kl.Activation("tanh")(gate)
    gate = kl.Maximum()([gate, kl.Minimum()([x, gate])])
    dot = kl.Dot(1)([x, gate])
    cosine = kl.Dot(-1, normalize=True)([x, gate])
    pair = kl.Dot((2, 1))([kl.Reshape((2, 5))(y), kl.Reshape((5, 2))(y)])
    side = kl.Concatenate(axis=1)([image, kl.Conv2D(2, 1)(image)])
    last = kl.Concatenate()([image, kl.Dense(3, "softmax")(image)])
    scaled = kl.Normalization(mean=[0.1, 0.2], variance=[1.0, 2.0])(image)
    odd = (x * 2.0 - 1.0) / 4.0 + (1.0 - gate)
    plain = kl.PReLU(alpha_initializer="random_normal")(kl.Reshape((5, 2))(y))
    return keras.Model([image, table], [*heads, y, gate, dot, cosine, pair, side, last, scaled, odd, plain])


def generator():
    return keras.Sequential(
        [
            kl.Input((5,)),
            kl.Dense(3 * 4 * 2),
            kl.Reshape((3, 4, 2)),
            kl.Conv2DTranspose(3, 3, strides=2, padding="same", activation="swish"),
            kl.LayerNormalization(axis=[1, 2, 3]),
            kl.Conv2D(2, 3, padding="same", activation="sigmoid"),
        ]
    )


def blocks():
    """Nested models: three equal models in sequence, each with an inner model, and one model that is used twice."""

    def pair(name):
        return keras.Sequential([kl.Input((6,)), kl.Dense(6, "relu"), kl.Dense(6)], name=name)

    def wide(name):
        start = kl.Input((6,))
        return keras.Model(start, kl.Add()([start, pair(f"{name}_inner")(start)]), name=name)

    reused = pair("again")
    x = start = kl.Input((6,))
    for number in range(3):
        x = wide(f"wide_{number}")(x)
    x = reused(reused(kl.ReLU()(x)))
    return keras.Model(start, kl.Dense(2)(kl.LayerNormalization()(x)))


MODELS = [mlp, digits, strides, volume, signal, text, states, gates, operations, parts, branches, generator, blocks]


def compress_archive(path):
    """Compress the members of the archive, which Keras stores uncompressed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def main():
    keras.utils.set_random_seed(1)
    for make in MODELS:
        if sys.argv[1:] and make.__name__ not in sys.argv[1:]:
            continue
        model = make()
        for weight in model.weights:  # no zeros and ones, so that swapped weights change the output
            if weight.dtype == "float32":
                noise = RNG.normal(0, 0.4, weight.shape)
                positive = "variance" in weight.path
                weight.assign(np.abs(noise) + 0.5 if positive else np.asarray(weight) * 0.5 + noise)
        tokens = make is text
        inputs = [
            RNG.integers(0, 20, (3, *tensor.shape[1:])) if tokens else RNG.normal(size=(3, *tensor.shape[1:]))
            for tensor in model.inputs
        ]
        inputs = [tensor.astype("int64" if tokens else "float32") for tensor in inputs]
        model.save(HERE / f"{make.__name__}.keras")
        model = keras.models.load_model(HERE / f"{make.__name__}.keras")
        compress_archive(HERE / f"{make.__name__}.keras")
        outputs = model(inputs if len(inputs) > 1 else inputs[0])
        outputs = outputs if isinstance(outputs, list) else [outputs]
        arrays = {f"in_{n}": tensor for n, tensor in enumerate(inputs)}
        arrays |= {f"out_{n}": keras.ops.convert_to_numpy(tensor) for n, tensor in enumerate(outputs)}
        np.savez_compressed(HERE / f"{make.__name__}.npz", **arrays)
        print(make.__name__, sum(path.stat().st_size for path in HERE.glob(f"{make.__name__}.*")))
    (HERE / "mlp.json").write_text(json.dumps(json.loads(mlp().to_json()), indent=None))


if __name__ == "__main__":
    sys.exit(main())
