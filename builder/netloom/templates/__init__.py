"""Projects to begin with: templates that train as they stand, each with the figure that it reaches on its test split,
and published architectures."""

from netloom.templates.catalogue import Architecture, Template, architectures, templates

__all__ = ["Architecture", "Template", "architectures", "templates"]
