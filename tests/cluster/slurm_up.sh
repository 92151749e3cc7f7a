#!/bin/bash
# A Slurm of our own on the loopback interface: no systemd, no database, all files in DIR, every port free when asked.
# usage: slurm_up.sh DIR [NODES] [CPUS_PER_NODE] [PYTHON]      then: export SLURM_CONF=DIR/slurm.conf
set -eu
D=$(realpath -m "${1:?the folder for its files}"); NODES=${2:-2}; CPUS=${3:-2}; PYTHON=${4:-python3}
HOST=$(hostname -s); USER_NAME=$(id -un)
mkdir -p "$D"/munge "$D"/state "$D"/spool "$D"/log
chmod 755 "$D" "$D/munge"

PORTS=$("$PYTHON" - "$((NODES + 1))" <<'END'
import socket
import sys

sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for one in sockets:
    one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in sockets))
END
)
read -r CONTROLLER NODE_PORTS <<<"$PORTS"

# munge proves who sends a message; the key is ours alone.
head -c 1024 /dev/urandom >"$D/munge/key"
chmod 400 "$D/munge/key"
munged --force --key-file="$D/munge/key" --socket="$D/munge/sock" --pid-file="$D/munge/pid" \
    --log-file="$D/munge/log" --seed-file="$D/munge/seed"

cat >"$D/slurm.conf" <<END
ClusterName=romflow
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=$CONTROLLER
SlurmUser=$USER_NAME
SlurmdUser=$USER_NAME
AuthType=auth/munge
AuthInfo=socket=$D/munge/sock,cred_expire=5
CredType=cred/munge
StateSaveLocation=$D/state
SlurmdSpoolDir=$D/spool/%n
SlurmctldPidFile=$D/slurmctld.pid
SlurmdPidFile=$D/slurmd.%n.pid
SlurmctldLogFile=$D/log/slurmctld.log
SlurmdLogFile=$D/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=500
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0,sched_min_interval=100000
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/filetxt
JobCompLoc=$D/log/jobcomp.txt
MinJobAge=300
ReturnToService=2
SlurmdParameters=config_overrides
InactiveLimit=0
KillWait=2
OverTimeLimit=0
MessageTimeout=30
SlurmdTimeout=300
END
number=0
for port in $NODE_PORTS; do
    number=$((number + 1))
    echo "NodeName=n$number NodeHostname=$HOST NodeAddr=127.0.0.1 Port=$port CPUs=$CPUS RealMemory=4000 State=UNKNOWN"
done >>"$D/slurm.conf"
echo "PartitionName=debug Nodes=n[1-$NODES] Default=YES MaxTime=INFINITE State=UP" >>"$D/slurm.conf"

export SLURM_CONF="$D/slurm.conf"
slurmctld -c
for number in $(seq 1 "$NODES"); do slurmd -N "n$number"; done
for _ in $(seq 1 60); do
    [ "$(sinfo --noheader --format=%T 2>/dev/null | sort -u)" = idle ] && exit 0
    sleep 0.25
done
echo "the nodes are not idle after 15 s; see $D/log" >&2
exit 1
