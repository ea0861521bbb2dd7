"""The chat of the Try it page: a dialogue with a run, its response policy, thresholds, and dialogues as tests."""
