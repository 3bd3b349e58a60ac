# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# The subcommands of "lab", one function each.

cmd_help() {
    cat <<'END'
Usage: lab COMMAND [OPTION...]

  image                      build the dom0 image, or reuse it; print its folder
  module                     build hyp/ for the release's Xen; print the file
  up [--disk FILE [--lossy]] [--mem MB] [--timeout S] [--init lab|systemd]
                             start a lab; returns when dom0 answers
  install [--run CMD]        build tree -> dom0 ("make install DESTDIR=..."),
                             then run CMD there (default: the project's setup)
  exec [--timeout S] [-i FILE] [--] CMD [ARG...]
                             run a command in dom0 (-i: its stdin, - for ours)
  put SRC DST                copy into dom0
  get SRC DST                copy out of dom0
  down                       power off, in order
  kill                       cut the power
  run [--disk FILE] [--mem MB] [--timeout S] [--init lab|systemd]
      [--logs DIR] [--no-install] [--keep] SCRIPT [ARG...]
                             up, install, run SCRIPT in dom0, logs, down; with
                             --keep the lab stays, for the next such run
  shell [--disk FILE] [--mem MB] [--init lab|systemd]
                             a lab to type into
  status                     the labs that run

All but image, module and status take --name NAME (default: $LAB_NAME or
"default"); labs of different names run side by side.

image, module, up, run and shell take --release bookworm|trixie: Debian 12 with
Xen 4.17, or Debian 13 with Xen 4.20 (default: $LAB_RELEASE, or this machine's
own, or bookworm).

  --disk FILE   dom0's root is FILE (made if it is not there) and survives
                "kill"; without it, all changes are gone with the lab
  --lossy       "kill" takes what dom0 has not flushed from FILE, as the power
                would; FILE is raw then, a copy of the image
  --init WHO    process 1 of dom0: the lab's own agent, or systemd, which
                starts Debian's Xen services and has the agent as a unit

Exit status: that of the command run; 2 wrong usage, 124 timeout, 125 the
machine is gone.
END
}

cmd_image() {
    parse_options "release" "$@"
    no_more image
    ensure_image
    echo "$LAB_IMAGE"
}

cmd_module() {
    parse_options "release" "$@"
    no_more module
    ensure_module
    echo "$LAB_MODULE"
}

# parse_options "OPTION..." "$@": sets $opt_OPTION, and $rest to what is left.
parse_options() {
    local known=" $1 " o
    shift
    rest=()
    while [ $# -gt 0 ]; do
        case $1 in
        --) shift; break ;;
        -i) o=input ;;
        --*) o=${1#--} ;;
        -*) misuse "unknown option '$1'" ;;
        *) break ;;
        esac
        if [[ $known == *" $o! "* ]]; then
            printf -v "opt_${o//-/_}" %s 1
            shift
            continue
        fi
        [[ $known == *" $o "* || $o = name ]] || misuse "unknown option '$1'"
        need_value "$1" $#
        case $o in
        name) LAB_NAME=$2 ;;
        init) [[ $2 =~ ^(lab|systemd)$ ]] ||
                  misuse "--init: 'lab' or 'systemd', not '$2'"
              LAB_INIT=$2 ;;
        release) release_known "$2" ||
                     misuse "--release: one of $LAB_RELEASES, not '$2'"
                 LAB_RELEASE=$2 ;;
        mem|timeout) need_number "$1" "$2" ;;&
        *) printf -v "opt_$o" %s "$2" ;;
        esac
        shift 2
    done
    rest=("$@")
}

no_more() { # COMMAND
    [ ${#rest[@]} -eq 0 ] || misuse "$1: unexpected '${rest[0]}'"
}

cmd_up() {
    local opt_disk='' opt_mem=3072 opt_timeout=180 opt_lossy=''
    parse_options "disk mem timeout init release lossy!" "$@"
    no_more up
    [ -z "$opt_lossy" ] || [ -n "$opt_disk" ] ||
        misuse "up: --lossy needs --disk"
    machine_up "$opt_disk" "$opt_mem" "$opt_timeout" "$opt_lossy"
    say "dom0 is up: '$LAB_NAME'"
}

cmd_exec() {
    local opt_timeout=0 opt_input=''
    parse_options "timeout input" "$@"
    [ ${#rest[@]} -gt 0 ] || misuse "exec: no command"
    lab_find_running
    local args=(-t "$opt_timeout")
    [ -z "$opt_input" ] || args+=(-i "$opt_input")
    exec "$LAB_RUN/labx" -s "$LAB_RUN/share" -f "$LAB_RUN/agent.in" -p "$LAB_QEMU" \
        -l "$LAB_RUN/serial.log" "${args[@]}" -- "${rest[@]}"
}

# Both ways of copying go through a folder that dom0 sees, under a name of
# its own there; "cp -a" keeps owners, modes and holes.
cmd_put() {
    parse_options "" "$@"
    [ ${#rest[@]} -eq 2 ] || misuse "put: give SRC and DST"
    lab_find_running
    local src=${rest[0]} dst=${rest[1]} tmp status
    [ -e "$src" ] || die "$src: not there"
    tmp=$(mktemp -d "$LAB_RUN/share/io/XXXXXX") || exit 1
    # shellcheck disable=SC2016 # expanded in dom0
    cp -a --sparse=always -- "$src" "$tmp/" &&
        machine_exec -- sh -c \
            'case $2 in /*) ;; *) set -- "$1" "/root/$2" ;; esac
             case $2 in */) mkdir -p "$2" ;; *) mkdir -p "${2%/*}/" ;; esac &&
             cp -a --sparse=always "$1" "$2"' \
            put "/lab/io/${tmp##*/}/$(basename "$src")" "$dst"
    status=$?
    rm -rf "$tmp"
    return $status
}

cmd_get() {
    parse_options "" "$@"
    [ ${#rest[@]} -eq 2 ] || misuse "get: give SRC and DST"
    lab_find_running
    local src=${rest[0]} dst=${rest[1]} tmp status
    tmp=$(mktemp -d "$LAB_RUN/share/io/XXXXXX") || exit 1
    machine_exec -- cp -a --sparse=always -- "$src" "/lab/io/${tmp##*/}/" &&
        cp -a --sparse=always -- "$tmp/$(basename "$src")" "$dst"
    status=$?
    rm -rf "$tmp"
    return $status
}

cmd_down() {
    parse_options "" "$@"
    no_more down
    lab_find_running
    machine_down
}

cmd_kill() {
    parse_options "" "$@"
    no_more kill
    lab_find_running
    machine_kill
}

cmd_status() {
    [ $# -eq 0 ] || misuse "status: unexpected '$1'"
    local runtime dir state
    runtime=$(lab_runtime) || exit 1
    for dir in "$runtime"/*/; do
        [ -d "$dir" ] || continue
        LAB_NAME=$(basename "$dir")
        lab_find
        state=stopped
        if [ -n "$LAB_QEMU" ]; then
            state="running for $(ps -o etime= -p "$LAB_QEMU" | tr -d ' ')"
            state+=", QEMU is process $LAB_QEMU"
        fi
        echo "$LAB_NAME: $state; files in $LAB_RUN"
    done
}

# --- install ------------------------------------------------------------

# install_project CMD
#   "make install" into a folder that dom0 sees, and from there to its root.
#   DESTDIR keeps make from changing this machine; what it leaves out because
#   of that (taking xl's place, for one) is done by CMD, in dom0.
install_project() {
    local setup=$1
    rm -rf "$LAB_RUN/share/dest"
    mkdir "$LAB_RUN/share/dest" || return 1
    # stdout is for what the command run in dom0 says.
    make -s -C "$LAB_PROJECT" install DESTDIR="$LAB_RUN/share/dest" >&2 ||
        { warn "make install failed"; return 1; }
    install_module || return 1
    [ -n "$setup" ] || ! [ -e "$LAB_RUN/share/dest/usr/sbin/xl-snapshot-setup" ] ||
        setup="xl-snapshot-setup enable >&2"
    # --keep-directory-symlink: /lib and /sbin are links in Debian.
    # shellcheck disable=SC2016 # expanded in dom0
    machine_exec -t 120 -- sh -c '
        tar -C /lab/dest -cf - . |
            tar -C / --warning=no-timestamp --no-same-owner \
                --keep-directory-symlink -xf - &&
        ldconfig && { [ -z "$1" ] || sh -c "$1"; }' install "$setup"
}

# The module for dom0's Xen, where this machine has another.
install_module() {
    local xen modules
    read -r LAB_RELEASE xen <"$LAB_RUN/release" || return 1
    # PKGLIBDIR, whatever it is.
    modules=$(find "$LAB_RUN/share/dest" -path '*/front/xl' -print -quit)
    modules=${modules%/front/xl}
    [ ! -e "$modules/hyp-xen-$xen.so" ] || return 0
    ensure_module
    install -m 644 "$LAB_MODULE" "$modules/"
}

cmd_install() {
    local opt_run=''
    parse_options "run" "$@"
    no_more install
    lab_find_running
    install_project "$opt_run"
}

# --- run ----------------------------------------------------------------

collect_logs() { # DIR
    mkdir -p "$1" || return 1
    if [ -d "$LAB_RUN/share/io" ] && kill -0 "$LAB_QEMU" 2>/dev/null; then
        rm -rf "$LAB_RUN/share/io/logs"
        mkdir -p "$LAB_RUN/share/io/logs"
        machine_exec -t 30 -- sh -c '
            cd /lab/io/logs && dmesg >dmesg
            xl dmesg >xl-dmesg 2>&1
            xenstore-ls -f >xenstore 2>&1
            cp -r /var/log/xen xen
            [ -d /root/lab-logs ] && cp -r /root/lab-logs lab-logs
            true' >/dev/null
        cp -r "$LAB_RUN/share/io/logs/." "$1/"
    fi
    tr -d '\r' <"$LAB_RUN/serial.log" >"$1/serial.log"
}

# However we end, the machine must not stay; but with --keep, when the script
# came to its end.
run_cleanup() {
    [ -z "$run_kept" ] || return
    lab_find
    [ -z "$LAB_QEMU" ] || machine_kill
}

# A lab for the script: that of --keep if it runs, as good as new; or a new one.
run_begin() {
    lab_find
    if [ -n "$LAB_QEMU" ]; then
        [ -n "$opt_keep" ] || die "a lab named '$LAB_NAME' is running already"
        machine_exec -t 120 -- lab-reset &&
            say "as good as new: '$LAB_NAME'" && return
        warn "'$LAB_NAME' cannot be used again, starting another one"
        machine_kill
    fi
    machine_up "$opt_disk" "$opt_mem" "$opt_timeout"
    say "dom0 is up: '$LAB_NAME'"
    if [ -z "$opt_no_install" ]; then
        install_project '' || die "could not install the project in dom0"
    fi
}

cmd_run() {
    local opt_disk='' opt_mem=3072 opt_timeout=900 opt_logs='' opt_no_install=
    local opt_keep=
    parse_options "disk mem timeout init release logs no-install! keep!" "$@"
    [ ${#rest[@]} -gt 0 ] || misuse "run: no script"
    local script=${rest[0]} status left base folder
    [ -f "$script" ] || die "$script: no such script"
    base=$(basename "$script")
    folder=$(dirname "$(readlink -f "$script")")

    ensure_image
    local end=$((SECONDS + opt_timeout))
    run_kept=
    trap run_cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    run_begin
    rm -rf "$LAB_RUN/share/script" "$LAB_RUN/step"
    mkdir "$LAB_RUN/share/script" &&
        cp -a "$folder/." "$LAB_RUN/share/script/" || exit 1
    left=$((end - SECONDS))
    [ $left -gt 0 ] || left=1
    # Not straight from the share: programs that map files want a real disk.
    # In the background, because a signal must not have to wait for it.
    # shellcheck disable=SC2016 # expanded in dom0
    machine_exec -t $left -S "$LAB_RUN/step" -- sh -c '
        rm -rf /root/lab-script && cp -a /lab/script /root/lab-script &&
        cd /root/lab-script && EVERYTHING=$1 && export EVERYTHING && shift &&
        exec "./$@"' run "${EVERYTHING:-}" "$base" "${rest[@]:1}" &
    wait $!
    status=$?
    [ $status -ne 124 ] ||
        warn "timeout of $opt_timeout s; last step: $(cat "$LAB_RUN/step" \
            2>/dev/null || echo none was named)"
    [ -z "$opt_logs" ] || collect_logs "$opt_logs"
    lab_find
    if [ -z "$LAB_QEMU" ]; then
        :
    elif [ $status -eq 124 ] || [ $status -eq 125 ]; then
        machine_kill
    elif [ -n "$opt_keep" ]; then
        run_kept=1
    else
        machine_down
    fi
    say "done: status $status"
    exit $status
}

# --- shell --------------------------------------------------------------

cmd_shell() {
    local opt_disk='' opt_mem=3072 shell_pid
    parse_options "disk mem init release" "$@"
    no_more shell
    [ -t 0 ] || die "shell needs a terminal"
    lab_find
    [ -z "$LAB_QEMU" ] || die "a lab named '$LAB_NAME' is running already"
    trap run_cleanup EXIT
    say "starting"
    machine_up "$opt_disk" "$opt_mem" 180
    install_project '' || warn "the project is not installed in dom0"
    machine_exec -t 60 -- guest make demo --type pv \
        --disk xvda:qcow2:256M --disk xvdb:raw:256M >/dev/null ||
        warn "no sample guest"
    local size
    size=$(stty size 2>/dev/null || echo 24 80)
    # shellcheck disable=SC2086 # rows and columns
    machine_exec -- sh /lab/bin/lab-console $size &
    shell_pid=$!
    # Leaving either end ends both.
    socat "STDIO,raw,echo=0,escape=0x1d" "UNIX-CONNECT:$LAB_RUN/console" &
    local socat_pid=$!
    wait -n "$shell_pid" "$socat_pid"
    kill "$shell_pid" "$socat_pid" 2>/dev/null
    stty sane
    echo
    say "powering off"
    lab_find
    [ -z "$LAB_QEMU" ] || machine_down
}
