"""The methods of calibration, one per file."""
