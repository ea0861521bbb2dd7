"""Templates, which train without changes and state the metric that they reach on their test split, and published
architectures."""

from netloom.templates.catalogue import Architecture, Template, architectures, templates

__all__ = ["Architecture", "Template", "architectures", "templates"]
