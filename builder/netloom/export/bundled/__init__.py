"""Sources of the file network.py in a bundle, which loads the network beside it."""
