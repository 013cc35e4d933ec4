"""The engine: Hugging Face owns the weights, this package owns the loop."""
