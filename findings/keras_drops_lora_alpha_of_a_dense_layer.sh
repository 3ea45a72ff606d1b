#!/usr/bin/env bash
# Keras' Dense and Embedding ignore lora_alpha of their constructor, which their convolutions and EinsumDense keep.
#
# `Dense(units, lora_rank=2, lora_alpha=6)` scales the low-rank product by 2 / 2 and not by 6 / 2: its update is a third of what was asked
# for. The attribute `lora_alpha` is the rank after `build`. `enable_lora(2, lora_alpha=6)` on a built layer does take it.
#
# Versions: keras 3.15.1, JAX 0.10.2. Source: `build` of Dense and Embedding calls `enable_lora(self.lora_rank)` alone.
# For low-bit networks: fine tuning by LoRA on quantized kernels is set up by these arguments, and a learning rate found with one layer does
# not fit another. tfq passes the product through the quantizer.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check keras==3.15.1 jax==0.10.2
cd "$folder"
cat > finding.py <<'PYTHON'
import os

os.environ["KERAS_BACKEND"] = "jax"
import keras

L = keras.layers
LAYERS = {
    "Dense": (L.Dense(3, lora_rank=2, lora_alpha=6), (None, 4)),
    "Embedding": (L.Embedding(5, 4, lora_rank=2, lora_alpha=6), (None, 3)),
    "Conv1D": (L.Conv1D(3, 3, lora_rank=2, lora_alpha=6), (None, 8, 4)),
    "EinsumDense": (L.EinsumDense("ab,bc->ac", 3, lora_rank=2, lora_alpha=6), (None, 4)),
}
print("keras", keras.__version__)
found = {}
for name, (layer, shape) in LAYERS.items():
    layer.build(shape)
    found[name] = layer.lora_alpha
    print(f"{name}(lora_rank=2, lora_alpha=6): lora_alpha is {layer.lora_alpha}")
raise SystemExit(found != {"Dense": 2, "Embedding": 2, "Conv1D": 6, "EinsumDense": 6})
PYTHON
"$folder/venv/bin/python" finding.py
