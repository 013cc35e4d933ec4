"""Two of our metrics as `evaluate` modules, usable without the harness and without a hub.

evaluate.load(str(Path(skipbench.hf_metrics.__file__).parent / "collapse"))
"""
