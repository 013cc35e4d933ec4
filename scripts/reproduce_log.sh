#!/usr/bin/env bash
# The tables of results/LOG.md, from nothing: about an hour on one core. Goes on where it was stopped.
# First argument: where results go (default results/log). Second: short, long, others, or all of them.
set -uo pipefail
cd "$(dirname "$0")/.."
dir=${1:-results/log}
run() { python -m skipbench -m results_dir="$dir" noise_floor=true "$@" > /dev/null || echo "exit $?: $*" >&2; }
three=0.1,0.25,0.35

blocks() {  # methods that leave out whole blocks
  local ratios=$1
  shift
  # a schedule over 360 tokens never gets to its end in a reply of 15: the horizon is set to a reply
  local horizon=12
  [ "$1" = task.form=long ] && horizon=160
  run "$@" method=shortgpt skip=$ratios
  run "$@" method=skipdecode method.horizon=$horizon skip=$ratios
  run "$@" method=layerdrop method.order=middle,last skip=$ratios
  run "$@" method=earlyexit method.exit_rule=state,random skip=$ratios
  # confidence saturates early here: without decay, and from 11 blocks on
  run "$@" method=earlyexit method.decay=0 method.exit_layer=11 skip=$ratios
}

facts() {
  local form=$1
  run "$@" method=ffnskip method.cold_start=2 method.cold_end=3 skip=$three
  run "$@" method=ffnskip_noadapt method.cold_start=2 method.cold_end=3 skip=$three
  run "$@" method=ffnskip_random skip=$three
  run "$@" method=layerdrop method.part=ffn method.order=middle,last,uniform,random skip=$three
  # whole blocks: at the same ratio of blocks, and at the weight bytes that ffnskip saves, since
  # 0.69 of a block is FFN
  blocks $three "$@"
  # how much of early exit's damage is the cache: the same exits with four KV rules
  kv=method.kv=project,copy,mask,recompute
  run "$@" method=earlyexit method.exit_rule=random method.exit_layer=8 method.depth=0.5 $kv
  run "$@" method=earlyexit method.decay=0 method.exit_layer=11 method.threshold=0.99 $kv
  run "$@" method=earlyexit method.exit_rule=fixed method.exit_layer=12 method.kv=project,copy,mask,recompute
  # the same skips without the rule that chose them
  for cell in "$dir"/factoid/tiny/ffnskip/*/; do
    if [ -f "$cell/summary.json" ] && grep -q "\"form\": \"${form#task.form=}\"" "$cell/run.json"; then
      run "$@" method=replay method.order=shuffled method.cell="$cell"
      run "$@" method=static_matched method.order=pattern,set method.cell="$cell"
    fi
  done
  blocks 0.069,0.1725,0.2415 "$@"
}

others() {  # conversations and summaries, all methods at a quarter; the paper's and its code's own values
  local task=$1
  run "$task" divergence=true method=ffnskip,ffnskip_noadapt,ffnskip_random,shortgpt skip=0.25
  run "$task" divergence=true method=skipdecode method.horizon=$2 skip=0.25
  run "$task" divergence=true method=layerdrop method.order=middle,last skip=0.25
  run "$task" divergence=true method=earlyexit method.exit_rule=state,random skip=0.25
  run "$task" divergence=true method=earlyexit method.decay=0 method.exit_layer=11 skip=0.25
  run "$task" divergence=true method=replay method.order=shuffled
  run "$task" divergence=true method=static_matched
  run "$task" divergence=true method=ffnskip_paper,ffnskip_code
}

case ${2:-all} in
  short) facts task.form=short ;;
  long) facts task.form=long limit=72 ;;
  others) others task=mtbench 12; others task=summarization 30 ;;
  all) facts task.form=short; facts task.form=long limit=72; others task=mtbench 12; others task=summarization 30 ;;
esac
python scripts/log_tables.py "$dir"
