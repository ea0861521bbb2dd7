"""The graph of layers that the ONNX and torch.export importers build, with the passes that both run over it."""
