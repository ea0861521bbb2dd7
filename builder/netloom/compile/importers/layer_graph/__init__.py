"""The layers of a document while an importer adds them, for formats whose axes PyTorch or ONNX orders."""
