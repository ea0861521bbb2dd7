"""The kinds of input: columns of tables, and input fields of networks."""
