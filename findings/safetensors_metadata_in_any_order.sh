#!/usr/bin/env bash
# safetensors writes other bytes for the same tensors and the same metadata, at each call.
#
# The keys of `__metadata__` come out in an order that differs from call to call, in one process too: it is that of a hash map with a
# seed of its own. Tensors, metadata and every value are equal, and a checksum of the file is not. No argument of `save` or
# `save_file` sorts them, and a dictionary's own order is not kept. With one key of metadata, or none, the bytes are the same.
#
# Versions: safetensors 0.8.0, NumPy 2.4.6. Source: the `metadata` of safetensors' Rust library is a HashMap.
# For low-bit networks: packed weights are stored with a format and a checksum as metadata, so that builds are not reproducible, and
# caches, signatures and "has it changed?" by checksum of the file fail. tfq sorts the header of its `.tfq` files after writing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6
cd "$folder"
cat > finding.py <<'PYTHON'
import hashlib

import numpy as np
import safetensors
from safetensors.numpy import load, save

tensors = {"planes": np.arange(16, dtype=np.uint8)}


def contents(metadata):
    return {save(tensors, metadata) for _ in range(50)}


print("safetensors", safetensors.__version__)
one, four = contents({"format": "packed"}), contents({"format": "packed", "version": "1", "bits": "1", "checksum": "0"})
print(f"50 files with one key of metadata: {len(one)} content(s); with four keys: {len(four)} contents")
for content in sorted(four)[:3]:
    size = int.from_bytes(content[:8], "little")
    print(hashlib.sha256(content).hexdigest()[:16], content[8 : 8 + size].decode().split("}")[0])
equal = all(np.array_equal(load(content)["planes"], tensors["planes"]) for content in four)
raise SystemExit(not (len(one) == 1 and len(four) > 1 and equal))
PYTHON
"$folder/venv/bin/python" finding.py
