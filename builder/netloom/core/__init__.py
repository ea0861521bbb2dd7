"""What every other package may import: errors, text and logging."""
