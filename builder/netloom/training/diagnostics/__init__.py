"""Diagnostics of a running training: layer statistics, warnings, and predictions for a few rows."""

from netloom.training.diagnostics.alerts import Notice
from netloom.training.diagnostics.node_modules import LayerModule, places
from netloom.training.diagnostics.prediction_history import Predictions, read_samples
from netloom.training.diagnostics.statistics_file import MEASURES, History, read_history

__all__ = ["MEASURES", "History", "LayerModule", "Notice", "Predictions", "places", "read_history", "read_samples"]
