"""Audit a policy of your own: `python -m skipbench.audit my_policy.py`.

The file is executed, and nothing else is. Its policy goes through contract tests, matched controls,
the noise floor, a test of no loss, and a measurement of speed; audit.md tells what came out.
Exit codes: 0 all contract checks pass, 1 some check failed, 2 bad input, 130 interrupted."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    options = _parser().parse_args()
    from skipbench.records import BadInput

    try:
        code = _audit(options)
    except (BadInput, OSError) as error:
        print(f"skipbench.audit: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("skipbench.audit: interrupted; the same command goes on", file=sys.stderr)
        code = 130
    raise SystemExit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m skipbench.audit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("policy", type=Path, help="Python file with a subclass of skipbench.policies.base.Policy")
    add("--model", default="tiny", help="tiny, or the directory of a checkpoint")
    add("--data", type=Path, help="questions the model can know, in FreebaseQA's schema")
    add("--class", dest="class_name", help="which policy, where the file defines several")
    add("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="fields of the policy")
    add("--skip", type=float, help="ratio in [0, 1] to calibrate the policy's knob to")
    add("--limit", type=int, default=300, help="questions asked (default 300)")
    add("--out", type=Path, help="default: results/audit/<policy>-<digest>/")
    return parser


def _audit(options: Any) -> int:
    from skipbench.audit.contract import contract, to_the_end
    from skipbench.audit.measure import Wanted, bench_of, measured, setup_of
    from skipbench.audit.page import page, short
    from skipbench.audit.source import audited
    from skipbench.provenance import sha256_of, versions
    from skipbench.records import write_json

    source = audited(options.policy, options.class_name, options.set)
    results = Path(os.environ.get("SKIPBENCH_RESULTS", "results"))
    asked = [source.digest, options.model, str(options.data), options.skip]
    out = options.out or results / "audit" / f"{source.name}-{sha256_of(asked)[:12]}"
    wanted = Wanted(
        model=options.model, data=options.data, skip=options.skip, limit=options.limit, out=out
    )
    setup = setup_of(source, wanted, [word.partition("=")[0] for word in options.set])
    out.mkdir(parents=True, exist_ok=True)
    bench = bench_of(setup)
    checks = contract(bench)
    numbers = None
    if all(check.passed is not False for check in checks):
        numbers = measured(setup)
        checks.append(to_the_end(numbers["failed"]))
    complete = numbers is not None and numbers.get("summary", {}).get("status") == "complete"
    found: dict[str, Any] = {
        "policy": {"file": source.path.name, "class": source.name, "digest": source.digest},
        "fields": vars(bench.policy),
        "skip": setup.skip,
        "model": {"name": setup.names[1], "sha256": bench.loaded.digest},
        "data": setup.task_config["data"],
        "versions": versions(),
        "checks": [vars(check) for check in checks],
        "passed": complete and all(check.passed is not False for check in checks),
        "measured": numbers,
    }
    write_json(out / "audit.json", found)
    (out / "audit.md").write_text(page(found), encoding="utf-8")
    print(short(found))
    print((out / "audit.md").resolve())
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    main()
