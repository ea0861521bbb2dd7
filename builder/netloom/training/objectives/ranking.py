"""Recommendation by Bayesian personalized ranking (BPR).

Rendle, Freudenthaler, Gantner and Schmidt-Thieme, BPR, https://arxiv.org/abs/1205.2618
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

from netloom.core.text import number as number_text
from netloom.data.preparation.calibrated import Decoding
from netloom.modalities.encoding.table_fields import CategoriesEncoder
from netloom.tasks import metric, ranking
from netloom.training.errors import TrainingError
from netloom.training.objectives.evaluation import Evaluation, Reference
from netloom.training.objectives.objective import NOTHING, Objective, Scores, Settings

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared, Schema
    from netloom.document import Training

# The number of users in an evaluation, the number of them on the Results page, and the limit of redrawing a negative.
USERS, SHOWN, REDRAWS = 1_000, 12, 10


class Ranking(Objective):
    """−log σ(s(user, relevant) − s(user, other)), with a sampled negative item for each relevant one.

    The network returns a score (N, 1) for a user and an item. In a step, rows 2i and 2i + 1 are a relevant item and a
    sampled item that is not relevant for the user in training; the target is whether the first is relevant, so that
    other rows have no loss.
    """

    task = ranking.Ranking()
    relevance_threshold: float | None = None
    top_k = 10
    _item = ""
    _known: torch.Tensor | None = None
    _items = 0

    def described(self, training: Training, schema: Schema) -> Self:
        described = copy.copy(self)
        described.relevance_threshold, described.top_k = training.relevance_threshold, training.top_k
        return described

    def configured(self, training: Training, data: Prepared, device: str) -> Self:
        configured = self.described(training, data.schema)
        user, item = (spec.name for spec in data.schema.inputs[:2])
        configured._item, configured._items = item, data.schema.inputs[1].vocabulary or 2
        is_relevant = configured.relevant_rows(data)
        for title, split in (("training", "train"), ("validation", "validation")):
            rows = data.split[split]
            if len(rows) and not bool(is_relevant[rows].any()):
                ratings = data.restore(data.target[rows]).flatten()
                raise TrainingError(
                    f"No {title} row has a rating of at least {number_text(configured.relevance_threshold or 0)}, the "
                    f"setting relevance_threshold, as they range from {number_text(float(ratings.min()))} to "
                    f"{number_text(float(ratings.max()))}; lower it, or leave it empty to count each row."
                )
        rows = data.split["train"][is_relevant[data.split["train"]]]
        # One number per pair, sorted by `unique`, so that `_is_known` can search it
        pairs = data.inputs[user][rows, 0] * configured._items + data.inputs[item][rows, 0]  # (R,)
        configured._known = pairs.unique().to(device)  # type: ignore[no-untyped-call]
        return configured

    def relevant_rows(self, data: Prepared) -> torch.Tensor:
        """Return which rows of the data (R,) have a relevant item; without ratings, all of them."""
        import torch

        ratings = data.restore(data.target).flatten(1)[:, 0]
        if self.relevance_threshold is None or not len(ratings) or bool((ratings == ratings[0]).all()):
            return torch.ones(len(ratings), dtype=torch.bool)
        # A standardized float32 that is restored can lie just below the rating that it came from.
        return ratings >= self.relevance_threshold - 1e-6 * max(1.0, float(ratings.abs().max()))

    def loss_targets(self, data: Prepared) -> torch.Tensor:
        """Return 1 for rows with a relevant item, else 0, (R,)."""
        return self.relevant_rows(data).float()

    def prepare_batch(
        self, inputs: list[torch.Tensor], target: torch.Tensor, seed: tuple[int, ...]
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Return each row, followed by the same user with a sampled item that is not known to be relevant."""
        import torch

        if self._known is None:
            raise ValueError("the items of the data are unknown")
        item_index = self.fields.index(self._item)
        items, users = inputs[item_index], inputs[1 - item_index]
        number = 0  # one seed from the seed, the epoch and the row
        for part in seed:
            number = (number * 1_000_003 + part + 1) % (2**63 - 1)
        chance = torch.Generator().manual_seed(number)

        def draw(count: int) -> torch.Tensor:
            # On the CPU, for the same items on every device. 0 is the number of unknown items, which are never drawn.
            return torch.randint(1, self._items, (count, 1), generator=chance).to(items.device)

        sampled = draw(len(items))
        for _ in range(REDRAWS):  # limited, as almost all items can be relevant for a user
            wrong = self._is_known(users, sampled) | (sampled == items)[:, 0]
            if not bool(wrong.any()):
                break
            sampled[wrong] = draw(int(wrong.sum()))
        doubled = [value.repeat_interleave(2, 0) for value in inputs]
        doubled[item_index][1::2] = sampled
        return doubled, target.repeat_interleave(2, 0)

    def _is_known(self, users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """Return whether items are known to be relevant for users, both (N, 1): (N,)."""
        import torch

        if self._known is None or not len(self._known):
            return torch.zeros(len(users), dtype=torch.bool, device=users.device)
        keys = (users * self._items + items)[:, 0]
        positions = torch.searchsorted(self._known, keys).clamp(max=len(self._known) - 1)
        return self._known[positions] == keys

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
        """Rank the relevant items of a user in these rows among all items that do not occur in other splits."""
        import numpy as np

        from netloom.training.uncertainty import mean_interval

        users = self._rank_users(ask, data, rows)
        metrics_by_user = [self._measures(user.ranking) for user in users]
        measures = _means(metrics_by_user)
        reference = _means([self._measures(user.baseline_ranking) for user in users])
        ranges = {
            name: mean_interval(np.array([metrics[name] for metrics in metrics_by_user]), metric(name).bounds)
            for name in measures
        }
        user_name, item_name = (names_of(data, field_index) for field_index in (0, 1))
        items = data.inputs[data.schema.inputs[1].name][rows[self.relevant_rows(data)[rows]], 0]
        unknown = int((items == 0).sum())
        note = f"{unknown:,} of the {len(items):,} relevant items are not in the training rows, so they do not count."
        return replace(
            evaluation,
            metrics={
                **measures,
                f"popular_ndcg@{self.top_k}": reference.get(f"ndcg@{self.top_k}", 0.0),
                "users": float(len(users)),
            },
            reference=Reference("Popularity", reference) if reference else None,
            unit=note if unknown else "",
            intervals={name: interval for name, interval in ranges.items() if interval is not None},
            report=[
                {
                    "user": user_name(user.number),
                    "recommended": ", ".join(item_name(field_index + 1) for field_index in user.ranking["order"]),
                    "relevant": ", ".join(map(item_name, user.relevant)),
                    "recall": user.ranking["recall"],
                }
                for user in users[:SHOWN]
            ],
        )

    def _rank_users(
        self, ask: Callable[[Mapping[str, torch.Tensor]], torch.Tensor], data: Prepared, rows: torch.Tensor
    ) -> list[_RankedUser]:
        """Rank all items for each user with a known relevant item in these rows, for at most `USERS` users."""
        import torch

        (user, item), is_relevant = (spec.name for spec in data.schema.inputs[:2]), self.relevant_rows(data)
        count = data.schema.inputs[1].vocabulary or 2
        is_evaluated = torch.zeros(len(is_relevant), dtype=torch.bool)
        is_evaluated[rows] = True
        users, items = data.inputs[user][:, 0], data.inputs[item][:, 0]
        train = data.split["train"]
        popularity = items[train][is_relevant[train]].bincount(minlength=count).double()
        all_items = torch.arange(1, count).unsqueeze(1)  # all known items, (I, 1)
        ranked = list[_RankedUser]()
        for number, rows_of_user in islice(_rows_by_user(data, users, rows[is_relevant[rows]]), USERS):
            relevant = items[rows_of_user & is_evaluated & is_relevant].unique()  # type: ignore[no-untyped-call]
            relevant = relevant[relevant > 0]
            if not len(relevant):
                continue
            # Items of this user in other splits are neither right nor wrong here, so they cannot be recommended.
            hidden = items[rows_of_user & ~is_evaluated].unique()  # type: ignore[no-untyped-call]
            excluded = hidden[(hidden > 0) & ~torch.isin(hidden, relevant)] - 1
            scores = ask({user: torch.full_like(all_items, number), item: all_items}).flatten().double()
            ranking, baseline_ranking = (
                ranking_metrics(values.index_fill(0, excluded, -float("inf")), relevant - 1, self.top_k)
                for values in (scores, popularity[1:])
            )
            ranked.append(_RankedUser(number, relevant.tolist(), ranking, baseline_ranking))
        return ranked

    def _measures(self, ranking: Mapping[str, float]) -> dict[str, float]:
        """Return the metrics of a user by name."""
        at = self.top_k
        return {f"recall@{at}": ranking["recall"], f"ndcg@{at}": ranking["ndcg"], "mrr": ranking["mrr"]}

    def decoding(self, data: Prepared, chosen: Settings) -> Decoding:
        return {"kind": "score"}


@dataclass(frozen=True)
class _RankedUser:
    """A user with the relevant items, the ranking of the items by the network, and that by their popularity."""

    number: int
    relevant: list[int]
    ranking: dict[str, Any]
    baseline_ranking: dict[str, Any]


def _rows_by_user(data: Prepared, users: torch.Tensor, rows: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield each user of `rows` as a number and as a mask of all rows (R,); `users` (R,) are the numbers.

    Users who do not occur in the training rows share the number 0, so their names tell them apart.
    """
    import torch

    for number in users[rows].unique().tolist():  # type: ignore[no-untyped-call]
        if number:
            yield number, users == number
            continue
        rows_by_name: dict[str, list[int]] = {}
        (column,) = data.schema.inputs[0].columns
        for row in (users == 0).nonzero().flatten().tolist():
            rows_by_name.setdefault(str(data.row(row)[column]), []).append(row)
        evaluated = set(rows.tolist())
        for rows_of_user in rows_by_name.values():
            if evaluated.intersection(rows_of_user):
                mask = torch.zeros(len(users), dtype=torch.bool)
                mask[rows_of_user] = True
                yield 0, mask


def _means(values: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over users."""
    names = values[0] if values else {}
    return {name: sum(metrics[name] for metrics in values) / len(values) for name in names}


def bpr(output: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the loss of each pair, its weight, and whether the relevant item has the higher score, (N,) each."""
    from torch.nn import functional

    scores = output.flatten()
    ahead = scores[0::2] - scores[1::2]
    return -functional.logsigmoid(ahead), target[0::2], (ahead > 0).float()


def ranking_metrics(scores: torch.Tensor, relevant: torch.Tensor, length: int) -> dict[str, Any]:
    """Return the ranking metrics of a user from the scores of all items (I,): recall and NDCG of the first `length`,
    and the reciprocal rank of the first `relevant` one.

    Recall is relative to all relevant items. NDCG uses gains of 1: https://doi.org/10.1145/582415.582418
    Each metric is its mean over the orders of items with equal scores, as in scikit-learn, so that equal scores for all
    items are as good as random ones.
    scikit-learn's `ndcg_score` is six times slower, which matters for thousands of users.
    """
    import torch

    order = scores.argsort(descending=True, stable=True)
    is_relevant = torch.isin(order, relevant).double()
    # Positions with equal scores share their relevance, so that the order of the items in the data does not matter.
    _, tie, sizes = torch.unique_consecutive(scores[order], return_inverse=True, return_counts=True)
    hits = (torch.zeros(len(sizes), dtype=torch.float64).index_add_(0, tie, is_relevant) / sizes)[tie]
    top = hits[:length]
    discount = 1 / torch.arange(2, length + 2, dtype=torch.float64).log2()
    ideal = float(discount[: min(length, len(relevant))].sum())
    return {
        "recall": float(top.sum()) / len(relevant),
        "ndcg": float((top * discount[: len(top)]).sum()) / ideal,
        "mrr": _reciprocal_rank(hits, tie),
        "order": order[:length].tolist(),
    }


def _reciprocal_rank(hits: torch.Tensor, tie: torch.Tensor) -> float:
    """Return the expected reciprocal rank of the first relevant item for a random order of equal scores, from the share
    of relevant items at each position (I,) and the number of its group of equal scores (I,)."""
    positions = hits.nonzero().flatten()
    if not len(positions):
        return 0.0
    start = int(positions[0])
    size = int((tie == tie[start]).sum())
    relevant = round(float(hits[start]) * size)
    expected, none_before = 0.0, 1.0  # the probability that no relevant item comes before
    for index in range(size - relevant + 1):
        chance = relevant / (size - index)
        expected += none_before * chance / (start + index + 1)
        none_before *= 1 - chance
    return expected


def names_of(data: Prepared, field_index: int) -> Callable[[int], str]:
    """Return the names of the categories of a field."""
    field = data.fields[field_index]
    if not isinstance(field, CategoriesEncoder):
        raise TypeError(f"The field {field.name!r} does not hold categories.")
    values = field.categories[0].values
    return lambda number: str(values[number - 1]) if 0 < number <= len(values) else "(other)"
