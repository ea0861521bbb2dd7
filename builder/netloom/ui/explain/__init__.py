"""The Explain page: one view per family of explanations."""
