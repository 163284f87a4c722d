#!/bin/sh
# Installs the locked Python packages into .venv. uv, whose path is given, prints a line for each
# package: these go to a file, and its steps to the terminal.
set -eu

uv=${1:?the path of uv}
log=.local/install.log
failed='uv ended with status'

cd "$(dirname "$0")/../.."
true > "$log" || {
    echo "Nothing can be written into $PWD/.local: the checkout has to be yours." >&2
    exit 1
}
echo 'installing the locked Python packages into .venv: about 100 MB; the first time 1 to 3 minutes' >&2
{ "$uv" sync --locked --all-packages 2>&1 || echo "$failed $?"; } |
    tee "$log" | sed -nu '/^ *\(Downloaded\|Prepared\|Installed\|Bytecode\|warning\)/p' >&2
if tail -n 1 "$log" | grep -q "^$failed"; then
    tail -n 20 "$log" >&2
    echo "The Python packages could not be installed. The whole of what uv said is in $log." >&2
    exit 1
fi
