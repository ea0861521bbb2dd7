"""Whether an explanation can be trusted: faithfulness, randomization tests, agreement, and the verdict."""
