#!/usr/bin/env bash
# Writes MLSYSIM_REPORT as a comment on pull request MLSYSIM_PULL, in place of the one of before.
# A comment is found again by a mark in its first line. A token that may not comment, as in a pull request
# from a fork, is a warning: the same report is the step's summary.
set -euo pipefail
if [[ ! "${MLSYSIM_PULL:-}" =~ ^[0-9]+$ || ! "$GITHUB_REPOSITORY" =~ ^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$ ]]; then
  echo "::error title=mlsysim::no pull request to comment on" >&2
  exit 1
fi
if [[ ! -s "${MLSYSIM_REPORT:-}" ]]; then
  exit 0
fi
name="${MLSYSIM_NAME//[^A-Za-z0-9_.-]/-}"
mark="<!-- mlsysim: $name -->"
body="$RUNNER_TEMP/mlsysim-comment.md"
{
  printf '%s\n' "$mark"
  cat -- "$MLSYSIM_REPORT"
} >"$body"
comments="repos/$GITHUB_REPOSITORY/issues/$MLSYSIM_PULL/comments"
warn() {
  echo "::warning title=mlsysim::the pull request could not be commented; the report is in the summary" >&2
  exit 0
}
known="$(MARK="$mark" gh api --paginate "$comments?per_page=100" \
  --jq '.[] | select(.user.type == "Bot" and (.body | startswith(env.MARK))) | .id')" || warn
known="${known%%$'\n'*}"
if [[ "$known" =~ ^[0-9]+$ ]]; then
  gh api --silent --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$known" -F "body=@$body" || warn
else
  gh api --silent --method POST "$comments" -F "body=@$body" || warn
fi
