#!/bin/bash
# Starts Ray on the nodes of a Slurm allocation, trains a study there, and asks for another turn when time is up.
#
#   sbatch --nodes=2 --gpus-per-node=8 --cpus-per-task=32 --time=04:00:00 slurm.sh \
#       run SPEC --out SHARED/studies --data-folder SHARED/data --on ray --accelerators 1
#
# What follows the script's name is given to `python -m scaling` as it is, which finds this Ray by RAY_ADDRESS. The
# script must be submitted from the checkout of this repository, with its environment active; both must lie on a disk
# that all nodes see. --mem=0 takes all memory of each node: where nodes are shared, give --mem=16G or what jobs need.
#
#SBATCH --job-name=scaling
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=0
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@180
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=scaling-%j.log

set -euo pipefail

# Nodes are shared, with others and with jobs of one's own: ports, temporary files and the token belong to this job.
job=${SLURM_JOB_ID:?is empty: this script is for sbatch}
nodes=${SLURM_JOB_NUM_NODES:?is empty: this script is for sbatch}
port=$((20000 + job % 10000 * 2))
temporary=/tmp/ray-$job
private=$(mktemp -d "${SCALING_PRIVATE:-$HOME}/.scaling-$job-XXXXXX")

# Whoever reaches Ray's ports may run commands as you: with a token only those who can read this file may.
umask 077
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$private/token RAY_USAGE_STATS_ENABLED=0
python -c 'import secrets; print(secrets.token_hex(32), end="")' >"$RAY_AUTH_TOKEN_PATH"

# srun takes the cores of a task from this variable alone.
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}
options=(--num-cpus="$SRUN_CPUS_PER_TASK" --temp-dir="$temporary" --block)
if [[ -n ${SCALING_OBJECT_STORE:-} ]]; then
    options+=(--object-store-memory="$SCALING_OBJECT_STORE") # bytes; Ray takes 30 % of the memory otherwise
fi

steps=()
# shellcheck disable=SC2329  # called by the trap
cleanup() {
    for step in "${steps[@]}"; do kill "$step" 2>/dev/null || true; done
    wait
    srun --nodes="$nodes" --ntasks="$nodes" --ntasks-per-node=1 rm -rf "$temporary" || true
    rm -rf "$private"
}
trap cleanup EXIT

mapfile -t names < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${names[0]}
ip=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}')

srun --nodes=1 --ntasks=1 --nodelist="$head" ray start --head --node-ip-address="$ip" --port="$port" \
    --ray-client-server-port=$((port + 1)) --include-dashboard=false "${options[@]}" &
steps+=($!)
if ((nodes > 1)); then
    # shellcheck disable=SC2016  # the address of each node is found on that node
    srun --nodes=$((nodes - 1)) --ntasks=$((nodes - 1)) --ntasks-per-node=1 --exclude="$head" bash -c \
        'exec ray start --address="$0" --node-ip-address="$(hostname --ip-address | cut -d" " -f1)" "$@"' \
        "$ip:$port" "${options[@]}" &
    steps+=($!)
fi

# The study is refused what no node has, so all nodes must be there first.
export RAY_ADDRESS=$ip:$port
python - "$nodes" "${SCALING_NODES_WITHIN:-300}" <<'PYTHON'
import subprocess, sys, time

wanted, seconds, began = int(sys.argv[1]), float(sys.argv[2]), time.monotonic()
while subprocess.run(["ray", "health-check"], capture_output=True).returncode:
    if time.monotonic() - began > seconds:
        sys.exit(f"Ray's head did not start within {seconds:g} s; look above for what srun printed")
    time.sleep(1)

import ray

ray.init(log_to_driver=False, logging_level="ERROR")
while (there := sum(node["Alive"] for node in ray.nodes())) < wanted:
    if time.monotonic() - began > seconds:
        sys.exit(f"{there} of {wanted} nodes joined Ray within {seconds:g} s; look above for what srun printed")
    time.sleep(1)
PYTHON
echo "Ray on $nodes nodes at $RAY_ADDRESS"

# Slurm's warning goes to the driver, which has every worker save and end; it then returns 75: not done, but resumable.
${SCALING_COMMAND:-python -m scaling} "$@" &
driver=$!
warned=""
# shellcheck disable=SC2329  # called by the traps
stop() { if kill -TERM "$driver" 2>/dev/null; then signalled=1; fi; }
trap 'warned=1; stop' USR1
trap stop TERM # scancel, or preemption: the job is not queued again, unless Slurm does so itself
while :; do
    signalled="" code=0
    wait "$driver" || code=$?
    [[ $signalled ]] || break # a signal ends `wait` before the driver has ended
done
cleanup
trap - EXIT
if [[ $warned ]] && ((code == 75)); then
    echo "time is up: the rest is trained when Slurm gives the next turn"
    scontrol requeue "$job"
fi
exit "$code"
