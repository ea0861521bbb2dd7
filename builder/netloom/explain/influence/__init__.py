"""Which training rows influenced a prediction."""
