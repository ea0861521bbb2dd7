"""Search in the list of runs, for the Runs page and `netloom runs list`."""

from __future__ import annotations

from dataclasses import dataclass

from netloom.store import Run


@dataclass(frozen=True)
class RunSearch:
    """Conditions on a run; empty ones accept everything.

    `project` is the id of its project. The run is in one of the `states`, has all `tags`, and has `text` in its title
    or its notes.
    """

    project: str = ""
    states: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    text: str = ""

    def accepts(self, run: Run) -> bool:
        """Return whether a run fulfills all conditions."""
        return (
            self.project in ("", run.project_id)
            and (not self.states or run.state in self.states)
            and set(self.tags) <= set(run.tags)
            and self.text.casefold() in f"{run.title}\n{run.notes}".casefold()
        )
