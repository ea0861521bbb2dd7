"""What uploads with images have in common: questions, tuples, masks."""
