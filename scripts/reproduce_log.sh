#!/usr/bin/env bash
# The tables of results/LOG.md, from nothing: about half an hour on 2 cores. Goes on where it was
# stopped. First argument: where results go (default results/log).
set -uo pipefail
cd "$(dirname "$0")/.."
dir=${1:-results/log}
run() { python -m skipbench -m results_dir="$dir" noise_floor=true "$@" > /dev/null || echo "exit $?: $*" >&2; }
for form in short long; do
  # at 10, 25 and 35 % of the method's own unit (calibrated on the calibration split)
  run task.form=$form method=ffnskip method.cold_start=2 method.cold_end=3 skip=0.1,0.25,0.35
  run task.form=$form method=ffnskip_noadapt method.cold_start=2 method.cold_end=3 skip=0.1,0.25,0.35
  run task.form=$form method=ffnskip_random skip=0.1,0.25,0.35
  run task.form=$form method=layerdrop method.part=ffn method.order=middle,last,uniform,random skip=0.1,0.25,0.35
  run task.form=$form method=skipdecode,shortgpt skip=0.1,0.25,0.35
  run task.form=$form method=layerdrop method.order=middle,last skip=0.1,0.25,0.35
  run task.form=$form method=earlyexit method.exit_rule=softmax,state,random skip=0.1,0.25,0.35
  # whole blocks at the weight bytes that ffnskip saves: 0.69 of a block is FFN
  run task.form=$form method=skipdecode,shortgpt skip=0.069,0.1725,0.2415
  run task.form=$form method=layerdrop method.order=middle,last skip=0.069,0.1725,0.2415
  run task.form=$form method=earlyexit method.exit_rule=softmax,state,random skip=0.069,0.1725,0.2415
  # how much of early exit's damage is the cache: the same depths, four KV rules
  run task.form=$form method=earlyexit method.exit_rule=softmax,random method.kv=copy,mask,recompute skip=0.25
  run task.form=$form method=earlyexit method.exit_rule=fixed method.exit_layer=12 method.kv=project,copy,mask,recompute
  # the same skips without the rule that chose them
  for cell in "$dir"/factoid/tiny/ffnskip/*/; do
    if [ -f "$cell/summary.json" ] && grep -q "\"form\": \"$form\"" "$cell/run.json"; then
      run task.form=$form method=replay method.order=shuffled method.cell="$cell"
      run task.form=$form method=static_matched method.order=pattern,set method.cell="$cell"
    fi
  done
done
# conversations and summaries, all methods at a quarter
for task in mtbench summarization; do
  run task=$task divergence=true method=ffnskip,ffnskip_noadapt,ffnskip_random,skipdecode,shortgpt skip=0.25
  run task=$task divergence=true method=layerdrop method.order=middle,last skip=0.25
  run task=$task divergence=true method=earlyexit method.exit_rule=softmax,state,random skip=0.25
  run task=$task divergence=true method=replay method.order=shuffled
  run task=$task divergence=true method=static_matched
done
python scripts/log_tables.py "$dir"
