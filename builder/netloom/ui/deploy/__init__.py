"""The Deploy page: serve a run, make it smaller or faster, watch for drift, and describe it in a model card."""
