"""Export of trained networks: one class per format. Files are verified to give the outputs of the app."""

from netloom.export.exported_file import content, destination, export, filename
from netloom.export.format import Batch, ExportError, Format, Report, Trained, export_formats, registry

__all__ = [
    "Batch",
    "ExportError",
    "Format",
    "Report",
    "Trained",
    "content",
    "destination",
    "export",
    "export_formats",
    "filename",
    "registry",
]
