"""The Data page: data sets, uploads, columns, quality and augmentation."""
