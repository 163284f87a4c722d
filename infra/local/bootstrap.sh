#!/bin/sh
# Puts uv, at one version, into the folder that is given, with nothing but the system's Python.
# No curl, no root: pip gets uv, and where Debian has cut pip out of Python, the distribution's
# package of pip is unpacked first.
set -eu

folder=${1:?the folder to put uv into}
version=${2:?the version of uv}

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

find_python() {
    for python in python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$python" > /dev/null &&
            "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            echo "$python"
            return
        fi
    done
}

# pip runs from the wheel that Debian keeps for new virtual environments.
unpack_pip() {
    command -v apt-get > /dev/null || return 1
    mkdir -p "$folder/pip"
    lists="-o Dir::State::lists=$folder/pip/lists -o Dir::Cache=$folder/pip/cache"
    (
        cd "$folder/pip"
        mkdir -p lists/partial cache/archives/partial
        sandbox='-o APT::Sandbox::User=root' # else root's apt wants a folder that others may enter
        apt-get -qq $sandbox download python3-pip-whl 2> /dev/null || {
            apt-get -qq $sandbox $lists update
            apt-get -qq $sandbox $lists download python3-pip-whl
        }
        dpkg-deb --extract python3-pip-whl_*.deb .
    ) >&2 && ls "$folder"/pip/usr/share/python-wheels/pip-*.whl
}

python=$(find_python)
[ -n "$python" ] || fail \
    'Warren needs Python 3.11 or newer, and there is none.' \
    'Install it (on Debian 12 or Ubuntu 24.04: apt-get install python3), or use Docker:' \
    'docker compose up --wait'

export PIP_ROOT_USER_ACTION=ignore # a warning about system packages, which are not touched
echo "getting uv $version" >&2
rm -rf "$folder"
mkdir -p "$folder"
if "$python" -m venv "$folder/venv" > /dev/null 2>&1; then
    install="$folder/venv/bin/python -m pip install"
elif pip=$(unpack_pip); then
    install="$python $pip/pip install --target $folder/packages"
else
    fail 'Python cannot make virtual environments here.' \
        'As root: apt-get install python3-venv. Then call make again.'
fi
$install --quiet --disable-pip-version-check "uv==$version" ||
    fail "pip could not install uv $version; see its message above."
for uv in "$folder/venv/bin/uv" "$folder/packages/bin/uv"; do
    if [ -x "$uv" ]; then
        touch "$uv" # for make, which compares its age with this script's
        ln -s "$uv" "$folder/uv"
    fi
done
rm -rf "$folder/pip"
