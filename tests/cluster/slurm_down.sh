#!/bin/bash
# Ends the Slurm that slurm_up.sh has started in DIR, with all its jobs.
# usage: slurm_down.sh DIR
set -u
D=$(realpath -m "${1:?the folder of its files}")
export SLURM_CONF="$D/slurm.conf"
timeout 10 scancel --user="$(id -un)" --quiet 2>/dev/null
for _ in $(seq 1 20); do
    [ -z "$(timeout 5 squeue --noheader 2>/dev/null)" ] && break
    sleep 0.25
done
for file in "$D"/slurmd.*.pid "$D"/slurmctld.pid "$D"/munge/pid; do
    [ -f "$file" ] && kill "$(cat "$file")" 2>/dev/null
done
true
