#!/bin/sh
# Puts uv, at the version that is given, into the checkout's .local, with nothing but the system's
# Python.
# No curl, no root: pip gets uv, and where Debian has cut pip out of Python, the distribution's
# package of pip is unpacked first.
set -eu

version=${1:?the version of uv}

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
    (
        cd "$folder/pip"
        mkdir -p lists/partial cache/archives/partial
        sandbox='APT::Sandbox::User=root' # else root's apt wants a folder that others may enter
        own_apt() {
            apt-get -qq -o "$sandbox" -o "Dir::State::lists=$PWD/lists" -o "Dir::Cache=$PWD/cache" "$@"
        }
        apt-get -qq -o "$sandbox" download python3-pip-whl 2> /dev/null || {
            own_apt update
            own_apt download python3-pip-whl
        }
        dpkg-deb --extract python3-pip-whl_*.deb .
    ) >&2 && ls "$folder"/pip/usr/share/python-wheels/pip-*.whl
}

python=$(find_python)
[ -n "$python" ] || fail \
    'Warren needs Python 3.11 or newer, and there is none.' \
    'Install it (on Debian 12 or Ubuntu 24.04: apt-get install python3), or use Docker:' \
    'docker compose up --wait'
case $version in
    *[!0-9.]* | [!0-9]* | *..*) fail "not a version of uv: $version" ;;
esac

# Relative to the checkout, so that what is removed here lies in it, whatever its path is.
cd "$(dirname "$0")/../.."
folder=.local/uv-$version

export PIP_ROOT_USER_ACTION=ignore # a warning about system packages, which are not touched
echo "getting uv $version" >&2
rm -rf "$folder"
mkdir -p "$folder" || fail "Nothing can be written into $PWD: the checkout has to be yours."
if "$python" -m venv "$folder/venv" > /dev/null 2>&1; then
    set -- "$folder/venv/bin/python" -m pip install
elif pip=$(unpack_pip); then
    set -- "$python" "$pip/pip" install --target "$folder/packages"
else
    fail 'Python cannot make virtual environments here.' \
        'As root: apt-get install python3-venv. Then call make again.'
fi
"$@" --quiet --disable-pip-version-check "uv==$version" ||
    fail "pip could not install uv $version; see its message above."
for uv in venv/bin/uv packages/bin/uv; do
    if [ -x "$folder/$uv" ]; then
        touch "$folder/$uv" # for make, which compares its age with this script's
        ln -s "$uv" "$folder/uv"
    fi
done
rm -rf "$folder/pip"
