"""Benchmarks: Netloom beside what one would write without it, in one process, in turns."""
