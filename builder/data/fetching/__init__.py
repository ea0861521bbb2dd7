"""Data from elsewhere: an address on the web, or a name at the Hugging Face hub. It is a file like any other then."""

from builder.data.fetching.address import Asked, FetchError, allowed, asked_for
from builder.data.fetching.download import download
from builder.data.fetching.hub import fetch_dataset, fetch_model

__all__ = ["Asked", "FetchError", "allowed", "asked_for", "download", "fetch_dataset", "fetch_model"]
