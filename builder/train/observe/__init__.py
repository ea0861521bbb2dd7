"""What is seen of a run while it trains: its layers' numbers, warnings in words, and what it says to a few rows."""

from builder.train.observe.history import MEASURES, History, read_history
from builder.train.observe.notices import Notice
from builder.train.observe.places import Place, places
from builder.train.observe.samples import Sampled, read_samples

__all__ = ["MEASURES", "History", "Notice", "Place", "Sampled", "places", "read_history", "read_samples"]
