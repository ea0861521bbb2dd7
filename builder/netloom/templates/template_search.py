"""Search in the templates and published architectures, for the Home page and `netloom templates`."""

from __future__ import annotations

from dataclasses import dataclass

from netloom.data.builtin_registry import builtin
from netloom.tasks import task
from netloom.templates.catalogue import Architecture, Template

# Layers of the main network, from and below.
SIZES = {"small": (0, 11), "medium": (11, 21), "large": (21, 10**9)}
SIZE_TITLES = {"small": "Up to 10 layers", "medium": "11 to 20 layers", "large": "More than 20 layers"}


@dataclass(frozen=True)
class TemplateSearch:
    """Conditions on a template or an architecture; empty ones accept everything.

    All words of `text` occur in its title, its summary, its topic, its task or the names of its data; `topic` is the
    kind of its data, such as "Image"; `task` is the name of a task; and `size` is a key of `SIZES`.
    """

    text: str = ""
    task: str = ""
    size: str = ""
    topic: str = ""

    def accepts(self, item: Template | Architecture) -> bool:
        """Return whether a template or an architecture fulfills all conditions."""
        project = item.project
        dataset = builtin().get(project.data.dataset)
        names = [item.title, item.summary, item.topic, task(project.training.objective).title]
        if dataset is not None:
            names += [dataset.title, dataset.known_as]
        low, end = SIZES[self.size] if self.size else (0, 10**9)
        return (
            self.topic in ("", item.topic)
            and self.task in ("", task_name(item))
            and low <= len(project.main_network.nodes) < end
            and all(word in " ".join(names).casefold() for word in self.text.casefold().split())
        )


def task_name(item: Template | Architecture) -> str:
    """Return the name of the task of a template; "" for an architecture, which has no data and so no task."""
    project = item.project
    return project.training.objective if builtin().get(project.data.dataset) else ""
