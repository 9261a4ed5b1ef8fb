#!/bin/bash
# Tries the systemd unit for real: start, reload, kill, hang, stop, a broken configuration.
#
#   tests/systemd/boot.sh PATH/TO/aiemp [ACCOUNT]
#
# Run it as root where systemd is PID 1 and nothing matters: a virtual machine or a container. `aiempctl` must lie beside
# `aiemp`. ACCOUNT is who the daemon runs as; by default one is made for the purpose and removed again, and that one must
# be able to read the Python which `aiemp` belongs to. Prints a line a check; exits 1 when one failed, 2 when it cannot run.
set -u

usage() { echo "boot.sh: $*" >&2; exit 2; }

[ $# -ge 1 ] || usage "which aiemp? boot.sh PATH/TO/aiemp [ACCOUNT]"
[ "$(id -u)" = 0 ] || usage "needs root"
[ -d /run/systemd/system ] || usage "needs systemd as PID 1"
aiemp=$(realpath -s "$1")
aiempctl=$(dirname "$aiemp")/aiempctl
for program in "$aiemp" "$aiempctl"; do [ -x "$program" ] || usage "$program is no program"; done

unit=aiemp-boot
made_account=
work=$(mktemp -d /var/lib/aiemp-boot.XXXXXX)
chmod 755 "$work"

clean_up() {
    systemctl stop $unit.service 2>/dev/null
    systemctl reset-failed $unit.service 2>/dev/null
    rm -rf /etc/systemd/system/$unit.service /etc/systemd/system/$unit.service.d "$work"
    systemctl daemon-reload
    [ -z "$made_account" ] || userdel "$made_account"
}
trap clean_up EXIT

account=${2-}
if [ -z "$account" ]; then
    account=aiemp-boot
    useradd --system --no-create-home --home-dir "$work/home" "$account" || usage "cannot make the account $account"
    made_account=$account
fi
mkdir -p "$work/home" "$work/a folder"
chown -R "$account": "$work"

as_account() { runuser -u "$account" -- env "HOME=$work/home" "$@"; }

as_account "$aiemp" --version >/dev/null || usage "$account cannot run $aiemp: name an account that can, e.g. root"

# Names that a unit has to quote, and a path too long for a UNIX socket: the socket goes to the runtime directory.
vault="$work/a vault 100%n \$HOME it's $(printf 'long%.0s' {1..25})"
config="$work/a folder/supervisor.toml"

failures=0
ok() { echo "ok   $*"; }
fail() { echo "FAIL $*"; failures=$((failures + 1)); }
check() { # check WHAT COMMAND…: the command must succeed
    local what=$1
    shift
    if "$@"; then ok "$what"; else fail "$what"; fi
}
within() { # within SECONDS COMMAND…: the command must succeed before the time is over
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}
show() { systemctl show -P "$1" $unit.service; }
is() { [ "$(show "$1")" = "$2" ]; }
main_pid() { show MainPID; }
status() { timeout 20 "$@" "$aiempctl" -c "$config" status >/dev/null; } # status [COMMAND THAT RUNS IT…]
answers() { # the daemon does, be a watcher not running yet (3) or not
    status "$@"
    case $? in 0 | 3) true ;; *) false ;; esac
}

# Each watcher is a sleep of its own length, found by its command line.
lengths="86411 86412 86413 86414"
watcher_pids() { for length in $lengths; do pgrep -u "$account" -fx "sleep $length" | tr '\n' ' '; done; }
each_once() {
    local length
    for length in $lengths; do [ "$(pgrep -u "$account" -cfx "sleep $length")" = 1 ] || return 1; done
}
none_twice() {
    local length
    for length in $lengths; do [ "$(pgrep -u "$account" -cfx "sleep $length")" -le 1 ] || return 1; done
}
none_at_all() { [ -z "$(watcher_pids)" ]; }
runs() { pgrep -u "$account" -fx "sleep $1" >/dev/null; }
replaced() { # replaced OLD: another main process is up
    local pid
    pid=$(main_pid)
    [ "$pid" != 0 ] && [ "$pid" != "$1" ] && is ActiveState active
}
without_twins() { # for three seconds nobody is there twice; then everybody once
    local end=$((SECONDS + 3))
    while [ $SECONDS -lt $end ]; do
        none_twice || return 1
        sleep 0.05
    done
    within 15 each_once
}

write_config() {
    cat > "$config" <<TOML
[supervisor]
vault = "$vault"

[watchers.one]
command = ["sleep", "86411"]

[watchers.two]
command = ["sleep", "86412"]

# Its leader goes at once when told to, and leaves a child that does not.
[watchers.stubborn]
command = ["sh", "-c", "(trap '' TERM; sleep 86413) & sleep 86414; wait"]
stop_timeout = "1s"
TOML
}

as_account "$aiemp" init "$work/a folder" --vault "$vault" >/dev/null || usage "aiemp init failed"
write_config
as_account "$aiemp" service systemd -c "$config" > /etc/systemd/system/$unit.service || usage "aiemp service failed"
mkdir -p /etc/systemd/system/$unit.service.d
printf '[Service]\nWatchdogSec=5s\n' > /etc/systemd/system/$unit.service.d/boot.conf # no test waits a minute
systemctl daemon-reload
check "the unit is accepted" is LoadState loaded
check "systemd-analyze verify is silent" test -z "$(systemd-analyze --man=no verify $unit.service 2>&1)"

check "start succeeds" systemctl start $unit.service
check "after start it is active" is ActiveState active
check "after start it answers at once (start waited for READY)" answers
check "every watcher runs once" within 15 each_once
check "the vault is written" within 5 test -s "$vault/.aiemp/lock"
check "it has no capabilities" grep -q '^CapBnd:.0*$' "/proc/$(main_pid)/status"
[ "$account" = root ] || check "the account's own aiempctl reaches it too" answers runuser -u "$account" --

main=$(main_pid) before=$(watcher_pids)
check "reload succeeds" systemctl reload $unit.service
check "reload keeps the daemon and every watcher" test "$main $before" = "$(main_pid) $(watcher_pids)"
printf '[watchers.three]\ncommand = ["sleep", "86415"]\n' >> "$config"
check "reload with a new watcher succeeds" systemctl reload $unit.service
check "the new watcher runs" within 15 runs 86415
check "the others keep running" test "$main $before" = "$(main_pid) $(watcher_pids)"
echo 'nonsense = [' >> "$config"
if systemctl reload $unit.service 2>/dev/null; then fail "reload with a broken file is refused"; else ok "reload with a broken file is refused"; fi
check "and changes nothing" test "$main $before" = "$(main_pid) $(watcher_pids)"
write_config
check "reload with the mended file succeeds" systemctl reload $unit.service

main=$(main_pid)
kill -KILL "$main"
check "a killed daemon is replaced" within 30 replaced "$main"
check "after the kill no watcher is doubled" without_twins

main=$(main_pid)
kill -STOP "$main"
check "a hanging daemon is replaced (watchdog)" within 60 replaced "$main"
check "after the hang no watcher is doubled" without_twins
check "systemd restarted it twice in all" is NRestarts 2

group=$(show ControlGroup)
check "stop succeeds" systemctl stop $unit.service
check "the stop was an orderly one" is Result success
check "no watcher is left" none_at_all
check "no process is left in the unit" test ! -s "/sys/fs/cgroup$group/cgroup.procs"
status 2>/dev/null
check "status says that no daemon runs" test $? = 4

echo 'nonsense = [' >> "$config"
if systemctl start $unit.service 2>/dev/null; then fail "start with a broken file fails"; else ok "start with a broken file fails"; fi
check "it ended with 78" is ExecMainStatus 78
sleep 4 # longer than RestartSec: nothing may happen, so there is nothing to wait for
check "it is not tried again" is NRestarts 0
check "it counts as failed" is ActiveState failed

[ $failures = 0 ] || {
    echo "$failures failed; the unit's last messages:"
    journalctl --no-pager -n 40 -u $unit.service 2>/dev/null
    exit 1
}
