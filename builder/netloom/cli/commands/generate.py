"""`netloom generate`: texts and images that the network of a run generates."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.cli.command import Command, Context, whole
from netloom.cli.files import add_force_argument, new_folder
from netloom.cli.selection import add_run_argument, load_trained_run
from netloom.core.errors import UsageError

if TYPE_CHECKING:
    from netloom.runs import TrainedRun

# Of a continuation; an answer ends by itself
DEFAULT_LENGTH, DEFAULT_IMAGES = 120, 8
_TEXT_OPTIONS, _IMAGE_OPTIONS = ("prompt", "temperature", "top_k", "top_p", "length"), ("count", "to")


class Generate(Command):
    """Continues a text with a language model, answers one with a sequence-to-sequence network, or draws images
    from the latent variables of a GAN or a variational autoencoder."""

    name = "generate"
    summary = "generate texts or images with the network of a run"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_run_argument(parser)
        parser.add_argument(
            "prompt", nargs="?", metavar="TEXT", help="text to continue or to answer; - for standard input"
        )
        parser.add_argument(
            "--temperature",
            type=float,
            metavar="T",
            help="divisor of the logits; 0 always takes the most likely token (default: 0.8 to continue a text, 0 to "
            "answer one)",
        )
        parser.add_argument("--top-k", type=int, metavar="K", help="choose among the K likeliest tokens (default: all)")
        parser.add_argument(
            "--top-p",
            type=float,
            metavar="P",
            help="choose among the likeliest tokens whose probabilities add up to P (default: 1)",
        )
        parser.add_argument(
            "--length",
            type=int,
            metavar="N",
            help=f"maximum number of tokens (default: {DEFAULT_LENGTH} to continue a text, the whole answer otherwise)",
        )
        parser.add_argument("--count", type=int, metavar="N", help=f"number of images (default: {DEFAULT_IMAGES})")
        parser.add_argument(
            "--to", metavar="FOLDER", help="folder for the images, PNG files with the values of the data"
        )
        parser.add_argument("--seed", type=whole(0, 2**31 - 1), default=0, metavar="N", help="random seed (default: 0)")
        add_force_argument(parser)

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.runs.prediction.text_generation import generates_text
        from netloom.store import open_store

        trained = load_trained_run(open_store(context.home), arguments.run)
        if generates_text(trained.data.schema):
            _refuse(arguments, (*_IMAGE_OPTIONS, "force"), "images")
            return _generate_text(trained, arguments, context)
        from netloom.runs.prediction.latent_samples import samples_latents

        if not samples_latents(trained):
            raise UsageError(
                "This run generates neither texts nor images; choose a run of a language model, a "
                "sequence-to-sequence network, a GAN or a variational autoencoder."
            )
        _refuse(arguments, _TEXT_OPTIONS, "texts")
        return _generate_images(trained, arguments, context)


def _refuse(arguments: Namespace, names: tuple[str, ...], products: str) -> None:
    """Refuse options that have no effect on what the run generates."""
    for name in names:
        if getattr(arguments, name) not in (None, False):
            option = "TEXT" if name == "prompt" else f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} is for runs that generate {products}, which this run does not; leave it out.")


def _generate_text(trained: TrainedRun, arguments: Namespace, context: Context) -> int:
    from netloom.runs.prediction.sampling import Sampling
    from netloom.runs.prediction.text_generation import generate

    if arguments.prompt is None:
        raise UsageError("This run generates texts and needs a TEXT to continue or to answer; - for standard input.")
    text = sys.stdin.read() if arguments.prompt == "-" else arguments.prompt
    target = trained.data.schema.target
    continues = target.type.continues_text

    def chosen(name: str, default: Any) -> Any:
        value = getattr(arguments, name)
        return default if value is None else value

    sampling = Sampling(
        chosen("temperature", 0.8 if continues else 0.0), chosen("top_k", 0), chosen("top_p", 1.0), arguments.seed
    )
    length = chosen("length", DEFAULT_LENGTH if continues else target.shape[0])
    field = trained.data.token_field(trained.fields[0])
    shown, tokens = "", 0
    for step in generate(trained, {field.source_column or field.name: text}, sampling, length):
        if not context.json:
            print(step.text[len(shown) :], end="", flush=True)
        shown, tokens = step.text, step.tokens
    context.answer({"text": shown, "tokens": tokens}, "")
    return 0


def _generate_images(trained: TrainedRun, arguments: Namespace, context: Context) -> int:
    from netloom.data.images import save_png
    from netloom.runs.prediction.latent_samples import sample_latents

    if arguments.to is None:
        raise UsageError("This run generates images; name a folder for them with --to FOLDER.")
    folder = new_folder(Path(arguments.to), force=arguments.force)
    count = DEFAULT_IMAGES if arguments.count is None else arguments.count
    samples = sample_latents(trained, arguments.seed, count)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"image_{number:02d}.png" for number in range(1, count + 1)]
    for path, image in zip(paths, samples.images, strict=True):
        save_png(image, path)
    written = [
        {"file": str(path), "latents": vector.tolist()} for path, vector in zip(paths, samples.latents, strict=True)
    ]
    context.answer(written, f"Wrote {count} image{'s'[: count != 1]} to {folder}.")
    return 0
