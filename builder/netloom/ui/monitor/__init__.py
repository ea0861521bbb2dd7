"""The Monitor page: the requests to a served model, beside the data of its run."""
