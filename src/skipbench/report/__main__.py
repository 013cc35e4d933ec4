"""Tables, figures and a page from results: `python -m skipbench.report DIR --out OUT`.

`--pack REF` writes a small copy of the results instead, from which the same tables can be made.
"""

import argparse
import os
import sys
from pathlib import Path

from skipbench.provenance import versions
from skipbench.records import BadInput


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m skipbench.report", description=__doc__)
    parser.add_argument("results", type=Path, metavar="DIR", help="a results folder")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--out", type=Path, help="folder for the report; made if it is not there")
    wanted.add_argument("--pack", type=Path, metavar="REF", help="folder for a small copy")
    version = f"skipbench {versions()['skipbench']}"
    parser.add_argument("--version", action="version", version=version)
    options = parser.parse_args()
    os.environ["SOURCE_DATE_EPOCH"] = "0"  # nothing that is written tells when
    from skipbench.report.build import build  # pandas and matplotlib take a second
    from skipbench.report.pack import pack

    try:
        if options.pack:
            pack(options.results, options.pack)
            print(options.pack.resolve())
        else:
            build(options.results, options.out)
            print(options.out.resolve())
    except BadInput as error:
        print(f"skipbench.report: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        print(f"skipbench.report: {error.filename}: {error.strerror}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
