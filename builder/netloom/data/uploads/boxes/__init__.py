"""The boxes of objects in images: annotation files, and how they are brought to one form."""
