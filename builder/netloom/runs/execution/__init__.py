"""The training of one run in its worker: its callbacks, the thread that communicates with the store, and their order
around the training loop."""
