"""The Runs page: the table of runs, comparison and sweeps."""
