"""Attribution flow: how much of the prediction passes through every edge of the graph."""
