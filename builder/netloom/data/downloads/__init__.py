"""Data from elsewhere: an address on the web, or a name at the Hugging Face hub. It is a file like any other then."""

from netloom.data.downloads.address import FetchError, RemoteSource, allowed, remote_source
from netloom.data.downloads.download import download
from netloom.data.downloads.hub import fetch_dataset, fetch_model

__all__ = ["FetchError", "RemoteSource", "allowed", "download", "fetch_dataset", "fetch_model", "remote_source"]
