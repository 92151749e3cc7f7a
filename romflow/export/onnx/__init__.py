"""ONNX files of the online stage: printed from the program of a model, run by onnxruntime alone."""
