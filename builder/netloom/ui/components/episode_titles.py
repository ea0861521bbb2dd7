"""The titles of the episodes that an evaluation shows."""

from __future__ import annotations

from netloom.training.objectives.evaluation import PlayedEpisodes

TITLES = ("Worst episode", "Median episode", "Best episode")


def episode_titles(played: PlayedEpisodes) -> list[str]:
    """Return the titles of the shown episodes, with their returns."""
    episodes = played["shown"]
    names = TITLES if len(episodes) == len(TITLES) else ("An episode",) * len(episodes)
    return [f"{name}: {episode['return']:g}" for name, episode in zip(names, episodes, strict=True)]
