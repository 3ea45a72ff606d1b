#!/usr/bin/env bash
# Keras gives predictions in the wrong order on JAX where a PyDataset has two workers: the first batch comes last. So does `fit` in
# each epoch, on JAX and on PyTorch. No error, no warning.
#
# Keras takes a batch to build the model or its metrics, and resets the iterator. `OrderedEnqueuer.stop` keeps the batches that were
# made already, in `ready_queue`. The next start gives those first, without the one that was taken, and then begins at 0 again. The
# predictions of a model that is not built yet belong to other rows than those they are read beside. TensorFlow is not concerned:
# there the dataset is a tf.data one.
#
# Versions: Keras 3.15.1, JAX 0.10.2. Source: keras/src/trainers/data_adapters/py_dataset_adapter.py.
# For a training that has to be the same bits each time, and for workers that each take a part of the same batch: the order of
# batches is not that of `shuffle=False`. tfq leaves `workers` at 1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check keras==3.15.1 jax==0.10.2 jaxlib==0.10.2
cd "$folder"
cat > finding.py <<'PYTHON'
import keras
import numpy as np


class Numbered(keras.utils.PyDataset):
    """Five batches, each of which holds its number."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return (np.full((2, 1), index, "float32"),)


class Identity(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")

    def call(self, x):
        return self.dense(x)


print(f"Keras {keras.__version__} on {keras.backend.backend()}")
found = {}
for workers in (1, 2):
    found[workers] = Identity().predict(Numbered(workers=workers), verbose=0)[::2, 0].astype(int).tolist()
    print(f"workers={workers}: the predictions of batches 0 to 4 are those of {found[workers]}")
raise SystemExit(not (found[1] == [0, 1, 2, 3, 4] and found[2] == [1, 2, 3, 4, 0]))
PYTHON
KERAS_BACKEND=jax "$folder/venv/bin/python" finding.py
