"""Finished cells for other tools: `python -m skipbench.export DIR --to lm-eval --out OUT`."""

import argparse
import sys
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m skipbench.export", description=__doc__)
    parser.add_argument("results", type=Path, help="folder of results, e.g. results")
    parser.add_argument("--to", choices=("lm-eval", "eee"), required=True, help="the format")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    options = parser.parse_args()
    from skipbench.export import eee, harness
    from skipbench.export.view import views
    from skipbench.records import BadInput

    formats = {"lm-eval": harness, "eee": eee}
    try:
        made = formats[options.to].write(views(options.results), options.out)
    except (BadInput, OSError) as error:
        print(f"skipbench.export: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    for path in made:
        print(path.resolve())


if __name__ == "__main__":
    main()
