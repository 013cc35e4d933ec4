"""skipbench: paired evaluation of skipping methods in LLM decoding."""

__version__ = "0.1.0"
