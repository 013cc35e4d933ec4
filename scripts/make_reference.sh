#!/usr/bin/env bash
# results/reference from nothing: every experiment on the shipped model, packed, with its report.
# About an hour and a half on 2 CPU cores. Goes on where it was stopped.
# First argument: where the runs go (default results/runs_for_reference).
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-results/runs_for_reference}
for name in quick table2 table3 fig2 fig3 fig4 fig5 kv where_and_when table4 pareto; do
  python -m skipbench experiment=$name results_dir="$runs" > /dev/null ||
    { echo "experiment=$name did not end well; see above" >&2; exit 1; }
done
rm -rf results/reference
python -m skipbench.report "$runs" --pack results/reference
python -m skipbench.report results/reference --out results/reference/report
# what the same command makes again at any time and is large
rm results/reference/report/report.html results/reference/report/samples.parquet
rm results/reference/report/fig_map_*.png
