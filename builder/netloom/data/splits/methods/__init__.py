"""The methods of splitting rows, one in each file."""
