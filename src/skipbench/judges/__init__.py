"""Judges: models, or rules, that grade replies. Rubrics are text files in `rubrics/`."""
