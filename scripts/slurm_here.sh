#!/usr/bin/env bash
# A two-node Slurm on this machine, for tests and for trying presets: no systemd, no database.
#   scripts/slurm_here.sh start DIR   start it, wait until both nodes are idle, print what to export
#   scripts/slurm_here.sh stop DIR    end it and its jobs, and remove what `start` made in DIR
# Each node has 2 CPUs and one pretended GPU, whatever the machine has. Needs root.
set -euo pipefail

fail() { echo "slurm_here: $*" >&2; exit 1; }

daemons=(slurmctld slurmd.n1 slurmd.n2 munged)

alive() {  # NAME: print its process id if it runs; an id from a pid file may be another's by now
    local pid
    pid=$(cat "$dir/run/$1.pid" 2>/dev/null) || return 1
    grep -qxF "${1%%.*}" "/proc/$pid/comm" 2>/dev/null && echo "$pid"
}

free_ports() {  # N: print that many TCP ports that nothing listens on
    python3 - "$1" <<'PY'
import socket, sys
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(s.getsockname()[1] for s in held))
PY
}

write_conf() {
    local host ports
    host=$(hostname -s)
    read -ra ports < <(free_ports 3)
    mkdir -p "$dir"/{state,spool/n1,spool/n2,log,run}
    (umask 077 && head -c 1024 /dev/urandom > "$dir/munge.key")
    echo "NodeName=n[1-2] Name=gpu File=/dev/null" > "$dir/gres.conf"
    cat > "$dir/slurm.conf" <<CONF
# written by slurm_here.sh
ClusterName=here
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/run/munge.sock
CredType=cred/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd.%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.%n.log
SlurmctldPort=${ports[0]}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
SwitchType=switch/none
SchedulerType=sched/backfill
InactiveLimit=0
KillWait=5
MinJobAge=300
SlurmctldTimeout=30
SlurmdTimeout=10
Waittime=0
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[1]} CPUs=2 RealMemory=4000 Gres=gpu:1
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[2]} CPUs=2 RealMemory=4000 Gres=gpu:1
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
CONF
}

start() {
    local tool
    for tool in munged slurmctld slurmd sinfo; do
        command -v "$tool" >/dev/null || fail "$tool is missing; install slurm-wlm and munge"
    done
    [ "$(id -u)" = 0 ] || fail "slurmd needs root"
    if ! [ -e "$dir/slurm.conf" ]; then
        [ -z "$(ls -A "$dir" 2>/dev/null)" ] || fail "$dir is not empty and not ours"
        write_conf
    fi
    alive munged >/dev/null || munged --force --key-file="$dir/munge.key" \
        --socket="$dir/run/munge.sock" --pid-file="$dir/run/munged.pid" \
        --log-file="$dir/log/munged.log" --seed-file="$dir/run/munged.seed" --num-threads=2 \
        || fail "munged did not start; see $dir/log/munged.log"
    alive slurmctld >/dev/null || slurmctld -f "$SLURM_CONF" || fail "slurmctld did not start; see $dir/log"
    local node
    for node in n1 n2; do
        alive "slurmd.$node" >/dev/null || slurmd -f "$SLURM_CONF" -N "$node" \
            || fail "slurmd $node did not start; see $dir/log"
    done
    wait_idle
    echo "export SLURM_CONF=$SLURM_CONF"
}

wait_idle() {
    local _
    for _ in $(seq 300); do
        [ "$(sinfo -h -N -o %T 2>/dev/null | grep -cxE 'idle|mixed|allocated')" = 2 ] && return
        sleep 0.2
    done
    fail "the nodes are not idle after a minute; see $dir/log"
}

stop() {
    [ -e "$dir/slurm.conf" ] || return 0
    head -n 1 "$dir/slurm.conf" | grep -q slurm_here.sh || fail "$dir/slurm.conf is not ours"
    local name pid
    if alive slurmctld >/dev/null; then
        timeout 10 scancel --user="$(id -un)" 2>/dev/null || true
        for _ in $(seq 50); do
            [ -z "$(timeout 5 squeue -h 2>/dev/null)" ] && break
            sleep 0.2
        done
    fi
    for name in "${daemons[@]}"; do
        if pid=$(alive "$name"); then
            kill "$pid"
            for _ in $(seq 50); do alive "$name" >/dev/null || break; sleep 0.1; done
            alive "$name" >/dev/null && kill -9 "$pid"
        fi
    done
    rm -rf "$dir"/{state,spool,log,run,munge.key,gres.conf,slurm.conf}
    rmdir "$dir" 2>/dev/null || true
}

[ $# = 2 ] || fail "usage: slurm_here.sh start DIR | stop DIR"
dir=$(realpath -m "$2")
export SLURM_CONF=$dir/slurm.conf
case $1 in
    start) start ;;
    stop) stop ;;
    *) fail "$1 is neither start nor stop" ;;
esac
