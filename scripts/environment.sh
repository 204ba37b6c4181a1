# Sourced by scripts/test and scripts/quickstart: a virtual environment of the project's own, with what they need.
# Usage: . scripts/environment.sh; make_environment "EXTRAS"

make_environment() {
    local extras=$1
    local python=${PYTHON:-python3}
    environment=${SCRIPTORIUM_VENV:-$PWD/.venv}
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "needs Python 3.11 or later; name one by PYTHON=/path/to/python3" >&2
        exit 2
    fi
    if [ ! -x "$environment/bin/python" ]; then
        "$python" -m venv "$environment" || {
            echo "python -m venv failed; on Debian: apt install python3-venv" >&2
            exit 2
        }
    fi
    # Installed again only when the declared dependencies have changed.
    local stamp="$environment/.installed-${extras//[^a-z]/-}"
    local now
    now=$(cat setup.cfg pyproject.toml | cksum)
    if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$now" ]; then
        echo "installing into $environment" >&2
        "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade pip "setuptools>=69" wheel
        "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".$extras"
        echo "$now" > "$stamp"
    fi
    PATH=$environment/bin:$PATH
    export PATH
}
