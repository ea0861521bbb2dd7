"""What Netloom knows about kinds of input: the columns of tables, and the fields that networks read."""
