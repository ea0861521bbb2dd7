"""The parts of a generative adversarial network: noise, a network `generator` and a network `discriminator`."""

from __future__ import annotations

from collections.abc import Iterator

from netloom.layers import TensorSpec
from netloom.layers.io import Input
from netloom.layers.subnetwork import Subnetwork
from netloom.tasks import task
from netloom.tasks.gan import NETWORKS, NOISE
from netloom.validation.context import Context
from netloom.validation.facts import Totals
from netloom.validation.issue import Issue
from netloom.validation.rule import Rule, Stage


class Adversarial(Rule):
    """The generator reads noise, the discriminator reads its image, and each of the two has an Output."""

    stage = Stage.TRAINING
    is_for_main_only = True

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        if not task(context.project.training.objective).alternating:
            return
        uses_by_name = {name: self._uses(context, name) for name in NETWORKS}
        missing = [name for name, uses in uses_by_name.items() if len(uses) != 1]
        for name in missing:
            yield self._missing(context, name, len(uses_by_name[name]))
        if not missing:
            yield from self._wired(context, *(uses_by_name[name][0] for name in NETWORKS))

    def _uses(self, context: Context, name: str) -> list[str]:
        nodes = context.of_type(Subnetwork)
        return [key for key in nodes if context.network.nodes[key].params.get("network") == name]

    def _missing(self, context: Context, name: str, count: int) -> Issue:
        task = "an image from noise" if name == "generator" else "one score (logit) from an image"
        exists = name in context.project.networks
        advice = (
            f"add the network {name} to this one"
            if exists
            else (f"create a network named {name} and add it to this one")
        )
        received = f"this network has {count}" if count else "this network has none"
        return context.issue(
            "gan_networks",
            f"A GAN needs exactly one network named {name}, which returns {task}; {received}. To fix this, "
            f"{advice if not count else 'remove the others'}.",
        )

    def _wired(self, context: Context, generator: str, discriminator: str) -> Iterator[Issue]:
        outputs = list(context.network.ports("Output"))
        sources = [self._source(context, key) for key in outputs]
        noise = self._source(context, generator)
        if noise not in context.of_type(Input) or len(context.of_type(Input)) != 1:
            message = "must read noise from the only Input of this network; connect that Input directly to it"
            yield context.issue("gan_wiring", f"{context.label(generator)} {message}.", generator)
        elif context.schema and context.network.nodes[noise].params.get("field") != NOISE:
            message = f"feeds the generator, so it must read the field {NOISE!r} of the data"
            yield context.issue("gan_wiring", f"{context.label(noise)} {message}.", noise)
        if self._source(context, discriminator) != generator:
            message = "must read the output of the generator; connect the generator directly to it"
            yield context.issue("gan_wiring", f"{context.label(discriminator)} {message}.", discriminator)
        if sources != [generator, discriminator]:
            message = "A GAN needs two Outputs: first the image of the generator, then the score of the discriminator"
            yield context.issue(
                "gan_wiring", f"{message}; connect them in this order.", outputs[-1] if outputs else None
            )
            return
        for key in (generator, discriminator):
            if context.network.nodes[key].params.get("repeat", 1) != 1:
                yield context.issue(
                    "gan_wiring", f"{context.label(key)} cannot be repeated in a GAN; set repeat to 1.", key
                )
        yield from self._shapes(context, *outputs)

    def _source(self, context: Context, key: str) -> str:
        """Return the node that feeds the only connected port of another; empty if none or several are connected."""
        edges = list(context.incoming[key].values())
        return edges[0].source_node if len(edges) == 1 else ""

    def _shapes(self, context: Context, picture: str, score: str) -> Iterator[Issue]:
        spec, logit = context.output_spec(picture), context.output_spec(score)
        if logit is not None and logit.shape != (None, 1):
            message = (
                f"receives {logit}, but the discriminator needs one score per image; end it with a Linear with 1 unit"
            )
            yield context.issue("width", f"{context.label(score)} {message}.", score, port="in")
        fields = [field for field in context.schema.inputs if field.is_image] if context.schema else []
        if spec is None or not fields:
            return
        expected = TensorSpec((None, *fields[0].shape))
        if spec.shape != expected.shape:
            message = (
                f"receives {spec}, but the images of the data ({fields[0].name}) are {expected}; change the end of"
            )
            yield context.issue("width", f"{context.label(picture)} {message} the generator.", picture, port="in")
