"""The files of a production export that are copied as they are: a server for the network of a bundle, and its check."""
