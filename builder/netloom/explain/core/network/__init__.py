"""The inside of a trained network: its nodes, hooks, attention layers and costs."""
