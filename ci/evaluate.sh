#!/usr/bin/env bash
# Evaluates MLSYSIM_PLANS (names or patterns, one a line) and writes summary, outputs and the report.
# It does not fail: the comment comes first. The code to fail with is the output step-code.
set -euo pipefail
plans=()
while IFS= read -r line; do
  line="${line#"${line%%[![:space:]]*}"}"
  line="${line%"${line##*[![:space:]]}"}"
  if [[ -n "$line" ]]; then
    plans+=("$line")
  fi
done <<<"${MLSYSIM_PLANS:-}"
report="$RUNNER_TEMP/mlsysim-report.md"
code=0
"$RUNNER_TEMP/mlsysim/bin/mlsysim" ci --github -o markdown --fail-on "${MLSYSIM_FAIL_ON:-violation}" \
  -- ${plans[@]+"${plans[@]}"} >"$report" || code=$?
cat -- "$report"
if [[ ! -s "$report" ]]; then # bad input of the action itself: nothing was evaluated
  echo "exit-code=$code" >>"$GITHUB_OUTPUT"
fi
{
  echo "step-code=$code"
  echo "report=$report"
} >>"$GITHUB_OUTPUT"
