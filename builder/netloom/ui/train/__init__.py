"""The Train page: the training form, the running run, and its results."""
