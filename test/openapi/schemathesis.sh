#!/usr/bin/env bash
# Runs schemathesis (from PyPI) against /openapi.json of a real server, bounded in time.
# TEST_OPENAPI_SECONDS: how long at most (default 60).
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q install --disable-pip-version-check 'schemathesis>=4.32,<5'

PORT=0 OPS_PORT=0 DATA_DIR="$work/data" MIN_FREE_BYTES=0 PATH="$PWD/node_modules/.bin:$PATH" node bin/windlass.js all >"$work/log" &
server=$!
for _ in $(seq 100); do
  url=$(sed -n 's/.*"msg":"ready at \([^"]*\)".*/\1/p' "$work/log")
  [ -z "$url" ] || break
  sleep 0.2
done
[ -n "$url" ] || { cat "$work/log"; exit 1; }

# Content is what clients have sent, under the type that they gave it: whether it can be read as that is not ours to say.
cat >"$work/hooks.py" <<'END'
import schemathesis


@schemathesis.hook
def after_call(context, case, response):
    if case.operation.path == "/v1/uploads/{id}/content" and response.status_code < 300:
        response.headers["content-type"] = ["application/octet-stream"]
END

# Left out:
# - positive_data_acceptance: cursors, entity tags, lists without doubles and "exactly one of" cannot be said in a schema,
#   so that values which fit the schema are rightly refused;
# - negative_data_rejection: it does not take 412 and 413 for refusals, and bodies of other types count as wrong data;
# - missing_required_header: no header is required but those of HTTP itself.
code=0
(cd "$work" && SCHEMATHESIS_HOOKS=hooks timeout 300 venv/bin/schemathesis run "$url/openapi.json" --max-examples 10 --max-time "${TEST_OPENAPI_SECONDS:-60}" \
  --exclude-checks positive_data_acceptance,negative_data_rejection,missing_required_header) || code=$?
if grep -E '"level":"(error|fatal)"' "$work/log"; then
  echo 'the server logged errors'
  exit 1
fi
exit "$code"
