"""The parts of an input that get a score: axes, columns, segments and groups of features."""
