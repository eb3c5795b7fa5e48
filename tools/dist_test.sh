#!/usr/bin/env bash
# Test on several GPUs: tools/dist_test.sh CONFIG CHECKPOINT GPUS [flags of tools/test.py]
# A config with nothing trained: tools/dist_test.sh CONFIG GPUS [flags of tools/test.py]
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT.
set -euo pipefail
config=$1
if [[ $2 =~ ^[0-9]+$ ]]; then
    gpus=$2
    shift 2
    set -- "$config" "$@"
else
    checkpoint=$2 gpus=$3
    shift 3
    set -- "$config" "$checkpoint" "$@"
fi
torchrun \
    --nnodes="${NNODES:-1}" \
    --node-rank="${NODE_RANK:-0}" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" \
    --master-port="${PORT:-29500}" \
    --nproc-per-node="$gpus" \
    "$(dirname "$0")/test.py" "$@" --launcher pytorch
