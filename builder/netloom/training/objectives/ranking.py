"""Recommendation by Bayesian personalized ranking (BPR).

Rendle, Freudenthaler, Gantner and Schmidt-Thieme, BPR, https://arxiv.org/abs/1205.2618
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from netloom.modalities.encoding.table_fields import CategoriesEncoder
from netloom.tasks import ranking
from netloom.training.objectives.evaluation import Evaluation, Reference
from netloom.training.objectives.objective import NOTHING, Objective, Scores, Settings

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared, Schema
    from netloom.document import Training

# The number of users in an evaluation, the number of them on the Results page, and the limit of redrawing a negative.
USERS, SHOWN, REDRAWS = 1_000, 12, 10


class Ranking(Objective):
    """−log σ(s(user, liked) − s(user, other)), with a sampled negative item for each liked one.

    The network returns a score (N, 1) for a user and an item. In a step, rows 2i and 2i + 1 are a liked item and a
    sampled item that the user did not like in training; the target is whether the first was liked, so that other rows
    have no loss.
    """

    task = ranking.Ranking()
    liked_from: float | None = None
    top_k = 10
    _item = ""
    _known: torch.Tensor | None = None
    _items = 0

    def described(self, training: Training, schema: Schema) -> Self:
        described = copy.copy(self)
        described.liked_from, described.top_k = training.liked_from, training.top_k
        return described

    def configured(self, training: Training, data: Prepared, device: str) -> Self:
        configured = self.described(training, data.schema)
        user, item = (spec.name for spec in data.schema.inputs[:2])
        configured._item, configured._items = item, data.schema.inputs[1].vocabulary or 2
        rows = data.split["train"][configured.liked(data)[data.split["train"]]]
        # One number per pair, sorted by `unique`, so that `_is_known` can search it
        pairs = data.inputs[user][rows, 0] * configured._items + data.inputs[item][rows, 0]  # (R,)
        configured._known = pairs.unique().to(device)  # type: ignore[no-untyped-call]
        return configured

    def liked(self, data: Prepared) -> torch.Tensor:
        """Return which rows of the data (R,) have a liked item."""
        import torch

        if self.liked_from is None:
            return torch.ones(len(data.target), dtype=torch.bool)
        # A standardized float32 that is restored can lie just below the rating that it came from.
        return data.restore(data.target).flatten(1)[:, 0] >= self.liked_from - 1e-6

    def loss_targets(self, data: Prepared) -> torch.Tensor:
        """Return 1 for rows with a liked item, else 0, (R,)."""
        return self.liked(data).float()

    def prepare_batch(
        self, inputs: list[torch.Tensor], target: torch.Tensor, seed: tuple[int, ...]
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Return each row, followed by the same user with a sampled item that is not known to be liked."""
        import torch

        if self._known is None:
            raise ValueError("the items of the data are unknown")
        place = self.fields.index(self._item)
        items, users = inputs[place], inputs[1 - place]
        number = 0  # one seed from the seed, the epoch and the row
        for part in seed:
            number = (number * 1_000_003 + part + 1) % (2**63 - 1)
        chance = torch.Generator().manual_seed(number)

        def draw(count: int) -> torch.Tensor:
            # On the CPU, for the same items on every device. 0 is the number of unknown items, which are never drawn.
            return torch.randint(1, self._items, (count, 1), generator=chance).to(items.device)

        sampled = draw(len(items))
        for _ in range(REDRAWS):  # limited, as a user can like almost all items
            wrong = self._is_known(users, sampled) | (sampled == items)[:, 0]
            if not bool(wrong.any()):
                break
            sampled[wrong] = draw(int(wrong.sum()))
        doubled = [value.repeat_interleave(2, 0) for value in inputs]
        doubled[place][1::2] = sampled
        return doubled, target.repeat_interleave(2, 0)

    def _is_known(self, users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """Return whether users are known to like items, both (N, 1): (N,)."""
        import torch

        if self._known is None or not len(self._known):
            return torch.zeros(len(users), dtype=torch.bool, device=users.device)
        keys = (users * self._items + items)[:, 0]
        places = torch.searchsorted(self._known, keys).clamp(max=len(self._known) - 1)
        return self._known[places] == keys

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        costs, counts, _ = bpr(output, target)
        return (costs * counts).sum() / counts.sum().clamp(min=1)

    def mass(self, target: torch.Tensor) -> torch.Tensor | float:
        return target[0::2].sum().clamp(min=1)

    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        costs, counts, right = bpr(output, target)
        return Scores({"loss": (costs * counts).sum(), "pair_accuracy": (right * counts).sum()}, int(counts.sum()))

    def evaluate(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Evaluation:
        return Evaluation(split=split, rows=len(rows), metrics={})

    def extend_evaluation(
        self,
        evaluation: Evaluation,
        output: torch.Tensor,
        ask: Callable[[Mapping[str, torch.Tensor]], torch.Tensor],
        data: Prepared,
        rows: torch.Tensor,
    ) -> Evaluation:
        """Rank the items that a user liked in these rows among all items that do not occur in other splits."""
        import numpy as np
        import torch

        from netloom.training.uncertainty import mean_interval

        (user, item), liked = (spec.name for spec in data.schema.inputs[:2]), self.liked(data)
        count = data.schema.inputs[1].vocabulary or 2
        requested, mine = set(rows.tolist()), torch.zeros(len(liked), dtype=torch.bool)
        mine[rows] = True
        people = data.inputs[user][:, 0]
        bought = data.inputs[item][:, 0]
        popular = bought[data.split["train"]][liked[data.split["train"]]].bincount(minlength=count).double()
        users = people[rows][liked[rows]].unique()[:USERS]  # type: ignore[no-untyped-call]
        lines: list[dict[str, Any]] = []
        scored: list[dict[str, float]] = []
        popularity: list[dict[str, float]] = []
        every = torch.arange(1, count).unsqueeze(1)  # all known items, (I, 1)
        for user_id in users.tolist():
            rows_of_user = people == user_id
            relevant = bought[rows_of_user & mine & liked].unique()  # type: ignore[no-untyped-call]
            relevant = relevant[relevant > 0]
            if not len(relevant) or not requested:
                continue
            scores = ask({user: torch.full_like(every, user_id), item: every}).flatten().double()
            # Items of this user in other splits are neither right nor wrong here, so they cannot be recommended.
            hidden = bought[rows_of_user & ~mine].unique()  # type: ignore[no-untyped-call]
            excluded = hidden[(hidden > 0) & ~torch.isin(hidden, relevant)] - 1
            scores[excluded] = -float("inf")
            popular_scores = popular[1:].clone()
            popular_scores[excluded] = -float("inf")
            ranking, baseline_ranking = (
                ranking_metrics(scores, relevant - 1, self.top_k),
                ranking_metrics(popular_scores, relevant - 1, self.top_k),
            )
            scored.append(self._measures(ranking))
            popularity.append(self._measures(baseline_ranking))
            lines.append({"user": user_id, "told": ranking, "wanted": relevant.tolist()})
        measures, reference = _means(scored), _means(popularity)
        ranges = {name: mean_interval(np.array([metrics[name] for metrics in scored])) for name in measures}
        named = [names_of(data, place) for place in (0, 1)]
        return replace(
            evaluation,
            metrics={
                **measures,
                f"popular_ndcg@{self.top_k}": reference.get(f"ndcg@{self.top_k}", 0.0),
                "users": float(len(lines)),
            },
            reference=Reference("Popularity", reference) if reference else None,
            intervals={name: interval for name, interval in ranges.items() if interval is not None},
            report=[
                {
                    "user": named[0](line["user"]),
                    "recommended": ", ".join(named[1](place + 1) for place in line["told"]["order"]),
                    "liked": ", ".join(map(named[1], line["wanted"])),
                    "recall": line["told"]["recall"],
                }
                for line in lines[:SHOWN]
            ],
        )

    def _measures(self, ranking: Mapping[str, float]) -> dict[str, float]:
        """Return the metrics of a user by name."""
        at = self.top_k
        return {f"recall@{at}": ranking["recall"], f"ndcg@{at}": ranking["ndcg"], "mrr": ranking["mrr"]}

    def decoding(self, data: Prepared, chosen: Settings) -> dict[str, Any]:
        return {"kind": "score"}


def _means(values: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over users."""
    names = values[0] if values else {}
    return {name: sum(metrics[name] for metrics in values) / len(values) for name in names}


def bpr(output: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the loss of each pair, its weight, and whether the liked item has the higher score, (N,) each."""
    from torch.nn import functional

    scores = output.flatten()
    ahead = scores[0::2] - scores[1::2]
    return -functional.logsigmoid(ahead), target[0::2], (ahead > 0).float()


def ranking_metrics(scores: torch.Tensor, relevant: torch.Tensor, length: int) -> dict[str, Any]:
    """Return the ranking metrics of a user from the scores of all items (I,): recall and NDCG of the first `length`,
    and the reciprocal rank of the first `relevant` one.

    Recall is relative to all relevant items. NDCG uses gains of 1: https://doi.org/10.1145/582415.582418
    scikit-learn's `ndcg_score` is six times slower, which matters for thousands of users.
    """
    import torch

    order = scores.argsort(descending=True, stable=True)
    hits = torch.isin(order, relevant)
    places = hits.nonzero().flatten()
    top = hits[:length].double()
    discount = 1 / torch.arange(2, length + 2, dtype=torch.float64).log2()
    ideal = float(discount[: min(length, len(relevant))].sum())
    return {
        "recall": float(top.sum()) / len(relevant),
        "ndcg": float((top * discount[: len(top)]).sum()) / ideal,
        "mrr": 1 / (int(places[0]) + 1) if len(places) else 0.0,
        "order": order[:length].tolist(),
    }


def names_of(data: Prepared, place: int) -> Callable[[int], str]:
    """Return the names of the categories of a field."""
    field = data.fields[place]
    if not isinstance(field, CategoriesEncoder):
        raise TypeError(f"The field {field.name!r} does not hold categories.")
    values = field.categories[0].values
    return lambda number: str(values[number - 1]) if 0 < number <= len(values) else "(other)"
