"""The Data page: datasets, uploads, columns, quality and augmentation."""
