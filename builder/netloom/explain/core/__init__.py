"""What all explanation methods share: targets, baselines, options, results and the cache."""
