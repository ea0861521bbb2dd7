"""Metrics: title, direction of improvement and format. One entry per metric."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from netloom.core.text import number

# Significant digits, and no exponent for large values, such as the errors of prices
SIGNIFICANT = "{:.4g}"
ANY, SHARE, AT_LEAST_0, AT_MOST_1 = (-inf, inf), (0.0, 1.0), (0.0, inf), (-inf, 1.0)


@dataclass(frozen=True)
class Metric:
    """One metric.

    Args:
        name: As stored in runs, on curves and in exported files.
        title: The name that users see.
        higher_is_better: Whether a larger value is an improvement; for all others a smaller one is.
        form: A format string for one value.
        help: One sentence of explanation.
        bounds: The least and greatest possible value, which limit confidence intervals.
        class_title: The name of the value of one class, if the metric is a mean over the classes.
        is_score: Whether a value can be better than another one, unlike that of a threshold.
    """

    name: str
    title: str
    higher_is_better: bool = False
    form: str = SIGNIFICANT
    help: str = ""
    bounds: tuple[float, float] = ANY
    class_title: str = ""
    is_score: bool = True

    @property
    def is_percentage(self) -> bool:
        """Whether values from 0 to 1 are written as percentages."""
        return self.form.endswith("%}")

    def written(self, value: float, *, signed: bool = False, digits: int = 4) -> str:
        """Format a value for display, or, with its sign, the difference of two values. `digits` are the significant
        ones of a value without decimals of its own."""
        if self.form == SIGNIFICANT:
            return number(value, digits, signed=signed)
        return (self.form.replace("{:", "{:+") if signed else self.form).format(value)


def _up(
    name: str,
    title: str,
    form: str = "{:.3f}",
    help: str = "",
    bounds: tuple[float, float] = SHARE,
    class_title: str = "",
) -> Metric:
    return Metric(name, title, True, form, help, bounds, class_title)


_SCALED = "In standard deviations of each number or series over the training part, because units differ"
_PERCENT = "{:.1%}"
# In the order in which they are shown.
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _up("exact_match", "Exact match", _PERCENT),
        _up("token_accuracy", "Token accuracy", _PERCENT),
        _up("accuracy", "Accuracy", _PERCENT),
        _up("balanced_accuracy", "Balanced accuracy", _PERCENT),
        Metric(
            "rank_error",
            "Mean rank error",
            form="{:.3f}",
            help="Mean distance between predicted and true class",
            bounds=AT_LEAST_0,
        ),
        _up(
            "kappa",
            "Quadratic weighted κ",
            help="1 for perfect agreement, 0 for chance; larger errors count more",
            bounds=AT_MOST_1,
        ),
        _up("macro_f1", "Macro F1"),
        Metric("loss", "Loss", bounds=AT_LEAST_0),
        Metric(
            "log_loss",
            "Log loss (NLL)",
            help="Mean negative log-likelihood of the true classes, in nats",
            bounds=AT_LEAST_0,
        ),
        Metric("brier", "Brier score", help="Mean squared error of the probabilities", bounds=AT_LEAST_0),
        Metric(
            "ece",
            "ECE",
            form=_PERCENT,
            help="Expected calibration error: mean gap of confidence and accuracy, in bins of equal width",
            bounds=SHARE,
        ),
        Metric(
            "adaptive_ece",
            "Adaptive ECE",
            form=_PERCENT,
            help="Expected calibration error in bins of equally many predictions",
            bounds=SHARE,
        ),
        Metric(
            "mce",
            "Maximum calibration error",
            form=_PERCENT,
            help="The largest gap between confidence and accuracy in a bin, which can have few predictions",
            bounds=SHARE,
        ),
        Metric("pinball", "Quantile loss", bounds=AT_LEAST_0),
        Metric("coverage", "Coverage", form=_PERCENT, is_score=False),
        Metric("rmse", "RMSE", bounds=AT_LEAST_0),
        Metric("mae", "MAE", bounds=AT_LEAST_0),
        Metric("scaled_rmse", "RMSE (scaled)", help=_SCALED, bounds=AT_LEAST_0),
        Metric("scaled_mae", "MAE (scaled)", help=_SCALED, bounds=AT_LEAST_0),
        _up("r2", "R²", bounds=AT_MOST_1),
        Metric(
            "mase",
            "MASE",
            form="{:.3f}",
            help="MAE divided by the MAE of the naive forecast one season before, over the training part; below 1 is "
            "better",
            bounds=AT_LEAST_0,
        ),
        Metric("naive_rmse", "RMSE, naive", bounds=AT_LEAST_0),
        Metric("naive_mae", "MAE, naive", bounds=AT_LEAST_0),
        Metric("naive_scaled_rmse", "RMSE (scaled), naive", help=_SCALED, bounds=AT_LEAST_0),
        Metric("naive_scaled_mae", "MAE (scaled), naive", help=_SCALED, bounds=AT_LEAST_0),
        Metric("naive_mase", "MASE, naive", form="{:.3f}", bounds=AT_LEAST_0),
        Metric("perplexity", "Perplexity", form="{:.2f}", bounds=AT_LEAST_0),
        Metric("bits_per_token", "Bits per token", form="{:.3f}", bounds=AT_LEAST_0),
        _up("elbo", "ELBO", SIGNIFICANT, "Lower bound of the log-likelihood of an example, in nats", ANY),
        Metric("bits_per_dim", "Bits per dimension", form="{:.3f}", help="−ELBO in bits, per value of an example"),
        Metric("nll", "Negative log-likelihood", help="Of an example given a sample of its latent variables, in nats"),
        Metric("kl", "KL divergence", help="Between the latent variables and N(0, 1), in nats", bounds=AT_LEAST_0),
        Metric("beta", "β", help="Weight of the KL divergence in the training loss", bounds=AT_LEAST_0, is_score=False),
        Metric("mse", "Mean squared error", bounds=AT_LEAST_0),
        _up("explained", "Explained variance", _PERCENT, bounds=AT_MOST_1),
        _up("roc_auc", "ROC-AUC"),
        _up("precision", "Precision", _PERCENT),
        _up("recall", "Recall", _PERCENT),
        _up("f1", "F1"),
        Metric("threshold", "Threshold", is_score=False),
        _up("dice", "Dice"),
        _up("pr_auc", "PR-AUC"),
        _up("subset_accuracy", "Subset accuracy", _PERCENT),
        _up("micro_f1", "Micro F1"),
        _up("mean_average_precision", "mAP"),
        _up(
            "map",
            "mAP50–95",
            help="Mean average precision as in COCO: the mean over the classes and over ten IoU thresholds from 0.5 to "
            "0.95",
            class_title="AP50–95",
        ),
        _up(
            "map_50",
            "mAP50",
            help="Mean average precision over the classes, at an IoU of at least 0.5",
            class_title="AP50",
        ),
        _up(
            "map_75",
            "mAP75",
            help="Mean average precision over the classes, at an IoU of at least 0.75",
            class_title="AP75",
        ),
        Metric("hamming_loss", "Hamming loss", form="{:.3f}", bounds=SHARE),
        _up(
            "knn_accuracy",
            "kNN accuracy",
            _PERCENT,
            "Predicts the majority class of the nearest training rows, by their embeddings",
        ),
        _up(
            "probe_accuracy",
            "Linear probe",
            _PERCENT,
            "A linear classifier on the embeddings, which were learned without classes",
        ),
        Metric(
            "input_knn_accuracy",
            "kNN on the input",
            form=_PERCENT,
            help="kNN on the raw inputs: a baseline for the embeddings",
        ),
        Metric(
            "chance", "Majority class", form=_PERCENT, help="The accuracy of always predicting the most common class"
        ),
        Metric(
            "spread",
            "Effective rank",
            form="{:.0%}",
            help="Share of the D dimensions that the embeddings use; near 1/D, they have collapsed",
        ),
        _up("mrr", "MRR"),
        Metric("users", "Users", form="{:.0f}"),
        _up("iou", "IoU"),
        _up("entity_f1", "Entity F1"),
        _up("word_accuracy", "Token accuracy", _PERCENT),
        _up("entity_precision", "Entity precision", _PERCENT),
        _up("entity_recall", "Entity recall", _PERCENT),
        _up("likeness", "Similarity to real images", _PERCENT),
        Metric("frechet", "Fréchet distance", form="{:.2f}", bounds=AT_LEAST_0),
        Metric("frechet_real", "… of real images", form="{:.2f}", bounds=AT_LEAST_0),
        Metric("taken_for_real", "Classified as real", form=_PERCENT),
        _up("return", "Return", "{:.1f}", bounds=ANY),
        Metric("return_deviation", "Deviation", form="± {:.1f}"),
        Metric("random_return", "Return of random actions", form="{:.1f}"),
        Metric("length", "Steps in an episode", form="{:.1f}"),
        _up("other_distance", "Distance, dissimilar pairs", "{:.3g}", bounds=AT_LEAST_0),
        _up("reward", "Reward", "{:.1f}", bounds=ANY),
        _up("view_accuracy", "Contrastive accuracy", _PERCENT),
        _up("pair_accuracy", "Pairwise accuracy", _PERCENT),
        _up("ndcg", "NDCG"),
        Metric("popular_ndcg", "Popularity NDCG", form="{:.3f}"),
    )
}


def metric(name: str) -> Metric:
    """Return the declaration of a metric by its name.

    `recall@10` is the recall of the first 10 items, and `accuracy (color)` the accuracy of one of several outputs. An
    unknown name gets a declaration: lower is better, and the title is the name.
    """
    # `output` keeps its closing parenthesis, which ends the title again.
    base, _, output = name.partition(" (")
    stem, _, count = base.partition("@")
    declaration = METRICS.get(stem, Metric(stem, stem.replace("_", " ").capitalize()))
    title = f"{declaration.title}@{count}" if count else declaration.title
    return replace(declaration, name=name, title=f"{title} ({output}" if output else title)


def higher_is_better(name: str) -> bool:
    """Return whether a larger value of a metric is an improvement."""
    return metric(name).higher_is_better
