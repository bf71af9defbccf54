#!/usr/bin/env bash
# Installs mlsysim into an environment of its own: the action's own version, or MLSYSIM_VERSION of the index.
set -euo pipefail
version="${MLSYSIM_VERSION:-}"
if [[ -n "$version" && ! "$version" =~ ^[0-9][0-9A-Za-z.+!-]*$ ]]; then
  echo "::error title=mlsysim::the input version is no version" >&2
  exit 1
fi
environment="$RUNNER_TEMP/mlsysim"
python3 -m venv "$environment"
if [[ -n "$version" ]]; then
  what="mlsysim[cli]==$version"
else
  what="${GITHUB_ACTION_PATH}[cli]"
fi
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check "$what"
