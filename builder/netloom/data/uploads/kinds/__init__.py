"""The kinds of data that people bring, one file each."""
