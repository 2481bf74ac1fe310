"""Learned models outside their runs: folders, cards, the hub, and ONNX."""
