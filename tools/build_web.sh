#!/bin/bash
# Builds the browser client into web/dist, from where the C build embeds it. Without Node (or with WEB=no) it says so
# and leaves it out: the server is then whole but for its pages.
set -eu
cd "$(dirname "$0")/../web" 2>/dev/null || exit 0
[ -f package.json ] || exit 0
if [ "${WEB:-yes}" = no ]; then
    echo "web: left out (WEB=no)"
elif ! command -v npm >/dev/null || [ ! -d node_modules ]; then
    echo "web: no Node here, so the server is built without the browser client (make deps installs it)"
else
    echo "web: building the browser client"
    npm run --silent build
fi
