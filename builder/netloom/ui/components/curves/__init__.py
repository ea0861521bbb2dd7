"""The curves of a run: their points, their settings and their plot."""
