"""The training of one run in its worker: the loop of the run, its reports to the store, and the pruning of trials."""
