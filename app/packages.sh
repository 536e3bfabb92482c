# Sourced by the scripts that build: what Debian 12 must have, installed only where it is missing.
build_packages='gcc meson ninja-build pkg-config python3 libjansson-dev libutf8proc-dev libpcre2-dev
    zlib1g-dev libzstd-dev libxxhash-dev libhdf5-dev libncurses-dev libopenblas-dev'
test_packages='hdf5-tools libcmocka-dev python3-numpy python3-h5py tmux procps git clang clang-format man-db'

need() {
    local missing='' p
    for p in "$@"; do
        dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
    done
    [ -n "$missing" ] || return 0
    echo "installing:$missing"
    local sudo=''
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing
}
