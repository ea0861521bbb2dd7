"""Attention maps, rollout, relevance, and the ablation of heads."""
