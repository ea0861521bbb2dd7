"""The Train page: the training form, the run monitor, and results."""
