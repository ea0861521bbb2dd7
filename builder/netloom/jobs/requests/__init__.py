"""The kinds of jobs: each class has the arguments of one kind, and computes its result."""
