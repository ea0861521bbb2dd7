"""Concepts that people name by examples, and inputs that maximize a unit (feature visualization)."""
