#!/usr/bin/env bash
# Today's clients with their defaults against a server of its own: tests/clients/run.sh path/to/skep
#
# The exact versions below are installed into a directory that is removed at the end. What is not there (python3, npm) is
# skipped, and said; with SKEP_TEST_REQUIRE_TOOLS=1 it must be there.
set -euo pipefail
REDIS_PY=8.1.0
IOREDIS=6.0.0
NODE_REDIS=6.3.1

skep=$(realpath "${1:?tests/clients/run.sh path/to/skep}")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server" && wait "$server" || true; fi; rm -rf "$work"' EXIT

missing() {
    echo "skipped: $1 is missing"
    if [ "${SKEP_TEST_REQUIRE_TOOLS:-}" = 1 ]; then exit 1; fi
}

"$skep" dev --data "$work/data" --listen 127.0.0.1:0 --admin 127.0.0.1:0 --regions 4 --allow-flush >"$work/out" &
server=$!
for _ in $(seq 600); do
    port=$(sed -n 's/^redis *127\.0\.0\.1:\([0-9]*\)$/\1/p' "$work/out")
    [ -n "$port" ] && break
    kill -0 "$server" || { echo "the server has ended"; exit 1; }
    sleep 0.1
done

if command -v python3 >/dev/null; then
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check "redis==$REDIS_PY"
    "$work/venv/bin/python" "$here/redis_py.py" "$port"
else
    missing python3
fi
if command -v npm >/dev/null; then
    cp "$here/ioredis.mjs" "$here/node_redis.mjs" "$work/"
    (cd "$work" && npm install --silent --no-fund --no-audit "ioredis@$IOREDIS" "redis@$NODE_REDIS" >/dev/null)
    node "$work/ioredis.mjs" "$port"
    node "$work/node_redis.mjs" "$port"
else
    missing npm
fi
