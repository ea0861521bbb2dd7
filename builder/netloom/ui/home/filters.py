"""The filters of templates and published architectures on the Home page."""

from __future__ import annotations

from dataclasses import dataclass

from netloom.data.builtin_registry import builtin
from netloom.tasks import task
from netloom.templates import Architecture, Template

# By the number of layers of the main network, from and below.
SIZES = {"Up to 10 layers": (0, 11), "11 to 20 layers": (11, 21), "More than 20 layers": (21, 10**9)}


@dataclass(frozen=True)
class GalleryFilters:
    """Conditions on a template or an architecture; empty ones accept everything. `text` is in lower case."""

    text: str = ""
    task: str = ""
    size: str = ""
    topic: str = ""

    def accepts(self, item: Template | Architecture) -> bool:
        """Return whether a template or an architecture fulfills all conditions."""
        project = item.project
        dataset = builtin().get(project.data.dataset)
        title = task(project.training.objective).title
        names = [item.title, item.summary, item.topic, title]
        if dataset is not None:
            names += [dataset.title, dataset.known_as]
        low, end = SIZES.get(self.size, (0, 10**9))
        return (
            self.topic in ("", item.topic)
            and (not self.task or (dataset is not None and title == self.task))
            and low <= len(project.main_network.nodes) < end
            and all(word in " ".join(names).casefold() for word in self.text.split())
        )
