"""The names of the mean loss of training batches on the curves.

It has a name of its own wherever its scale differs from that of the evaluated "loss". The number of steps in each of
its points depends on the clock, so these points are not compared between runs.
"""

from __future__ import annotations

BATCH_LOSS = "batch_loss"
WEIGHTED_LOSS = "weighted_loss"  # with weights of classes, samples or labels
DISTILLATION_LOSS = "distillation_loss"  # from labels and from the logits of a teacher
ALTERNATING_LOSS = "turns_loss"  # of the networks of a GAN, in turn
TRAINING_LOSSES = (BATCH_LOSS, WEIGHTED_LOSS, DISTILLATION_LOSS, ALTERNATING_LOSS)
