"""Existing models as documents: one importer per format. Nothing of a file is ever executed."""
