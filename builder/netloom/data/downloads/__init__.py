"""Downloads: from a web address, or by name from the Hugging Face hub. The result is read like an uploaded file."""

from netloom.data.downloads.address import FetchError, RemoteSource, allowed, remote_source
from netloom.data.downloads.download import download
from netloom.data.downloads.hub import fetch_dataset, fetch_model

__all__ = ["FetchError", "RemoteSource", "allowed", "download", "fetch_dataset", "fetch_model", "remote_source"]
