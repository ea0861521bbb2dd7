"""Data from elsewhere: an address on the web, or a name at the Hugging Face hub. It is a file like any other then."""

from netloom.data.downloads.address import Asked, FetchError, allowed, asked_for
from netloom.data.downloads.download import download
from netloom.data.downloads.hub import fetch_dataset, fetch_model

__all__ = ["Asked", "FetchError", "allowed", "asked_for", "download", "fetch_dataset", "fetch_model"]
