"""The model server: finished runs behind HTTP, in a process of its own.

A request goes through `gateway` (keys, limits, log), a route of `routes/`, `deployment` (which version answers) and
`batching` (rows of several requests become one batch) to `served_model`. Tasks and modalities declare what a model
reads and answers; nothing here compares their names.
"""
