#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# Find and install the Debian packages that the project needs.
#
#   tools/deps.sh [--check] TIER...
#
# Without --check the missing packages are installed with apt-get.  With it
# they are only named, and the exit status is 1 if there are any.  All being
# there costs one dpkg-query and nothing else.

set -u

usage() {
    cat <<'USAGE'
Usage: tools/deps.sh [--check] TIER...

Tiers:
  build   compile the programs
  test    unit, fake and image tests
  lint    formatting and static checks
  lab     a real Xen under QEMU (tools/lab)

  --check   only say what is missing; exit 1 if anything is
USAGE
}

tier_packages() {
    case $1 in
    build) echo gcc make pkg-config libc6-dev libxen-dev libyajl-dev \
                libxxhash-dev ;;
    test)  echo libcmocka-dev qemu-utils qemu-system-xen socat perl jq \
                strace procps e2fsprogs mount libclang-rt-dev clang llvm ;;
    lint)  echo clang-format clang-tidy cppcheck shellcheck perl ;;
    lab)   echo qemu-system-x86 qemu-utils debootstrap e2fsprogs cpio \
                libxen-dev \
                busybox-static xz-utils zstd socat gcc libc6-dev ;;
    *)     return 1 ;;
    esac
}

check=0
wanted=()
for arg; do
    case $arg in
    --check) check=1 ;;
    -h|--help) usage; exit 0 ;;
    -*) echo "deps.sh: unknown option '$arg'" >&2; usage >&2; exit 2 ;;
    *)  if ! list=$(tier_packages "$arg"); then
            echo "deps.sh: unknown tier '$arg'" >&2
            usage >&2
            exit 2
        fi
        read -r -a list <<<"$list"
        wanted+=("${list[@]}") ;;
    esac
done
if [ ${#wanted[@]} -eq 0 ]; then
    usage >&2
    exit 2
fi

if ! command -v dpkg-query >/dev/null; then
    echo "deps.sh: not a Debian system; packages wanted: ${wanted[*]}" >&2
    exit 1
fi

# "pkg-config" and the like may be provided by another package: one more
# query, made only when something seems to be missing, asks for that.
missing_packages() {
    local -A have=() seen=()
    local name status p provides
    while read -r name status; do
        [ "$status" = installed ] && have[$name]=1
    done < <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' \
             "${wanted[@]}" 2>/dev/null)
    missing=()
    for p in "${wanted[@]}"; do
        [ -n "${have[$p]:-}${seen[$p]:-}" ] && continue
        seen[$p]=1
        missing+=("$p")
    done
    [ ${#missing[@]} -eq 0 ] && return
    provides=" $(dpkg-query -W -f \
        '${db:Status-Status} ${Provides}\n' 2>/dev/null |
        sed -n 's/^installed //; s/([^)]*)//g; s/,/ /gp' | tr '\n' ' ') "
    wanted_missing=("${missing[@]}")
    missing=()
    for p in "${wanted_missing[@]}"; do
        [[ $provides == *" $p "* ]] || missing+=("$p")
    done
}

missing=()
missing_packages
[ ${#missing[@]} -eq 0 ] && exit 0

if [ $check -eq 1 ]; then
    echo "deps.sh: missing packages: ${missing[*]}" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "deps.sh: missing packages: ${missing[*]};" \
         "install them as root: apt-get install ${missing[*]}" >&2
    exit 1
fi

echo "deps.sh: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
install() {
    apt-get install -y -qq --no-install-recommends "${missing[@]}" \
        >"$log" 2>&1 </dev/null
}
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
if ! install; then
    # Stale or absent package lists are the usual reason.
    apt-get update -qq >>"$log" 2>&1 </dev/null
    if ! install; then
        cat "$log" >&2
        echo "deps.sh: could not install: ${missing[*]}" >&2
        exit 1
    fi
fi
