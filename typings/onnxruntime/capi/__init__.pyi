"""The compiled half of onnxruntime."""
