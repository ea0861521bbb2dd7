"""What all explanation methods share: the explained target, baselines, options, results and their cache."""
