"""Sounds that are cut short, too loud or too quiet, which notes mention."""

from __future__ import annotations

import numpy as np

from netloom.data.uploads.sounds.soundfiles import is_cut

_QUIET = 0.001  # the peak of a sound with at most 65 levels


class OddSounds:
    """The names of sounds that notes mention.

    Attributes:
        damaged: Sentences on sounds that are left out.
    """

    def __init__(self) -> None:
        self.damaged: list[str] = []
        self._cut: list[str] = []
        self._loud: list[str] = []
        self._quiet: list[str] = []

    def add(self, content: bytes, name: str, samples: np.ndarray) -> None:
        """Add the name of a sound (L,) if it is odd."""
        peak = float(abs(samples).max())
        self._cut += [name] if is_cut(content) else []
        self._loud += [name] if peak > 1 else []
        self._quiet += [name] if 0 < peak < _QUIET else []

    def notes(self) -> list[str]:
        """Return a sentence for each way of being odd."""
        reasons = (
            (self._cut, "cut short", "the samples that exist were read"),
            (self._loud, "louder than full scale", "values beyond 1 were clipped, so scale them to −1 to 1"),
            (
                self._quiet,
                f"quieter than {_QUIET:.1g} of full scale",
                "few of the 65,536 levels remain, so amplify them",
            ),
        )
        return self.damaged + [
            f"{len(names):,} sound{'s are' if len(names) > 1 else ' is'} {how}, such as {names[0][:80]!r}; {what}."
            for names, how, what in reasons
            if names
        ]
