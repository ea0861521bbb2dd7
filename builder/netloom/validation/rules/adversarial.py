"""What a generative adversarial network is made of: noise, a network `generator` and a network `discriminator`."""

from __future__ import annotations

from collections.abc import Iterator

from netloom.layers import TensorSpec
from netloom.layers.io import Input
from netloom.layers.subnetwork import Subnetwork
from netloom.tasks import task
from netloom.tasks.gan import NETWORKS, NOISE
from netloom.validation.context import Context, Totals
from netloom.validation.issue import Issue


class Adversarial:
    """Noise goes into the generator, its picture into the discriminator, and both answers into an Output each."""

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        if not task(context.project.training.objective).alternating:
            return
        found = {name: self._uses(context, name) for name in NETWORKS}
        missing = [name for name, uses in found.items() if len(uses) != 1]
        for name in missing:
            yield self._missing(context, name, len(found[name]))
        if not missing:
            yield from self._wired(context, *(found[name][0] for name in NETWORKS))

    def _uses(self, context: Context, name: str) -> list[str]:
        nodes = context.of_type(Subnetwork)
        return [key for key in nodes if context.network.nodes[key].params.get("network") == name]

    def _missing(self, context: Context, name: str, count: int) -> Issue:
        what = "a picture out of noise" if name == "generator" else "one score (logit) out of a picture"
        known = name in context.project.networks
        mend = f"put the network {name} into this one" if known else f"make a network named {name} and put it into this"
        said = f"there are {count} of it" if count else "there is none"
        return context.issue(
            "gan_networks",
            f"A GAN needs exactly one network named {name}, which gives {what}; {said}. To mend it, "
            f"{mend if not count else 'take the others away'}.",
        )

    def _wired(self, context: Context, generator: str, discriminator: str) -> Iterator[Issue]:
        outputs = list(context.network.ports("Output"))
        sources = [self._source(context, key) for key in outputs]
        noise = self._source(context, generator)
        if noise not in context.of_type(Input) or len(context.of_type(Input)) != 1:
            message = "reads noise from the only Input of this network; connect that Input straight to it"
            yield context.issue("gan_wiring", f"{context.label(generator)} {message}.", generator)
        elif context.schema and context.network.nodes[noise].params.get("field") != NOISE:
            message = f"feeds the generator, so it has to read the field {NOISE!r} of the data"
            yield context.issue("gan_wiring", f"{context.label(noise)} {message}.", noise)
        if self._source(context, discriminator) != generator:
            message = "judges what the generator makes; connect the generator straight to it"
            yield context.issue("gan_wiring", f"{context.label(discriminator)} {message}.", discriminator)
        if sources != [generator, discriminator]:
            message = "A GAN has two Outputs: the first takes the generator's picture, the second the discriminator's"
            yield context.issue("gan_wiring", f"{message} score; connect them so.", outputs[-1] if outputs else None)
            return
        for key in (generator, discriminator):
            if context.network.nodes[key].params.get("repeat", 1) != 1:
                yield context.issue("gan_wiring", f"{context.label(key)} stands for one network; set repeat to 1.", key)
        yield from self._shapes(context, *outputs)

    def _source(self, context: Context, key: str) -> str:
        """The node that is connected to the only port of another; empty where there is none or several."""
        edges = list(context.incoming[key].values())
        return edges[0].source_node if len(edges) == 1 else ""

    def _shapes(self, context: Context, picture: str, score: str) -> Iterator[Issue]:
        given, logit = context.answer(picture), context.answer(score)
        if logit is not None and logit.shape != (None, 1):
            message = f"gives {logit}, but a picture has one score; end the discriminator in a Linear with 1 unit"
            yield context.issue("width", f"{context.label(score)} {message}.", score, port="in")
        fields = [field for field in context.schema.inputs if field.is_image] if context.schema else []
        if given is None or not fields:
            return
        wanted = TensorSpec((None, *fields[0].shape))
        if given.shape != wanted.shape:
            message = f"gives {given}, but the pictures of the data, {fields[0].name}, are {wanted}; shape the end of"
            yield context.issue("width", f"{context.label(picture)} {message} the generator so.", picture, port="in")
