"""Tables: reading files, inferring columns, converting cells, and tables larger than memory."""
