"""Skipping methods. Each is one frozen dataclass in one file, its fields are its YAML."""
