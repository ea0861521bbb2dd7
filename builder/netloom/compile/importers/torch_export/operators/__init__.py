"""The operators of programs, as layers: a module per family, which registers its converters in the table."""
