#!/usr/bin/env bash
# Build the wheel and use it from another directory: configuration, weights and chat template must
# be inside. The libraries are those of the environment that calls this.
set -euo pipefail
work=$1
pip wheel -q --disable-pip-version-check --no-deps -w "$work/dist" .
pip install -q --disable-pip-version-check --no-deps --target "$work/site" "$work"/dist/*.whl
cd "$work"
PYTHONPATH="$work/site" python - <<'PY'
import skipbench, sys
assert skipbench.__file__.startswith(sys.path[1]) or "site" in skipbench.__file__, skipbench.__file__
PY
cell=$(PYTHONPATH="$work/site" python -m skipbench task=factoid method=ffnskip limit=8 | tail -n 1)
test -f "$cell/summary.json"
test ! -e "$work/outputs" && test ! -e "$work/multirun"
PYTHONPATH="$work/site" python -m skipbench.show "$cell" -n 2
echo "wheel: configuration, weights and template found from $work"
