"""The Try it page: a trained run predicts what a person types, draws, uploads or records."""
