"""Several processes, on TensorFlow."""

import json
import os
import re
from typing import Any

import numpy as np

from tfq.backend.keras import keras, ops
from tfq.backend.metrics import build as build_metrics
from tfq.distribute.alone import DistributionError
from tfq.distribute.strategy import Strategy
from tfq.optional import require


class MultiWorker(Strategy):
    """`tf.distribute.MultiWorkerMirroredStrategy`, of the workers that `TF_CONFIG` names; the first is the chief.

    Raises:
        DistributionError: `TF_CONFIG` is missing, or describes no such job.
    """

    def __init__(self) -> None:
        self.worker, self.workers = _task()
        super().__init__(require("tensorflow").distribute.MultiWorkerMirroredStrategy())
        if self.replicas != self.workers:
            raise DistributionError(
                f"--distribute=multiworker takes one GPU a worker; got {self.replicas} of {self.workers} workers: "
                "give each GPU a worker of its own, by CUDA_VISIBLE_DEVICES"
            )

    def prepare(self, model: keras.Model) -> None:
        """Go round two faults of Keras 3.15.1, whose `fit` cannot take this strategy as it is.

        It reduces the first batch to build a model from, which fails with PerReplica values: here all is built beforehand. And it
        averages the logs of a step along an axis, which a single number has not: here each is a vector of one.
        """
        with self.scope():
            build_metrics(model)
            model.optimizer.build(model.trainable_variables)
        model._maybe_symbolic_build = lambda **_: None
        model.train_step, model.test_step = _with_vectors(model.train_step), _with_vectors(model.test_step)

    def _distributed(self, dataset: Any) -> Any:
        return self.strategy.distribute_datasets_from_function(lambda _: dataset)

    def everywhere(self, number: float) -> np.ndarray:
        """By an all-gather between two steps."""
        tf = require("tensorflow")
        given = self.strategy.run(lambda: tf.constant([number], tf.float32))
        return self.strategy.gather(given, axis=0).numpy()

    def explain(self, error: BaseException) -> str | None:
        """TensorFlow names the task that does not answer."""
        errors = require("tensorflow").errors
        if not isinstance(error, errors.UnavailableError | errors.AbortedError | errors.InternalError | errors.CancelledError):
            return None
        tasks = sorted({number for number in re.findall(r"task:(\d+)", str(error)) if int(number) != self.worker})
        who = f"worker {' or '.join(tasks)}" if tasks else "another worker"
        return f"{who} of {self.workers} is gone: {str(error).splitlines()[0][:200]}"


def _with_vectors(step):
    return lambda data: {name: ops.reshape(value, (1,)) for name, value in step(data).items()}


def _task():
    """Number of this worker, and of all, by `TF_CONFIG`."""
    text = os.environ.get("TF_CONFIG")
    if not text:
        raise DistributionError(
            "--distribute=multiworker needs TF_CONFIG in the environment of each worker, such as "
            '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
        )
    try:
        content = json.loads(text)
        cluster, task = content["cluster"], content["task"]
        worker, workers = int(task["index"]), len(cluster["worker"])
    except (ValueError, KeyError, TypeError) as error:
        raise DistributionError(f"TF_CONFIG={text} cannot be read: {error!r}") from error
    if set(cluster) != {"worker"} or task.get("type") != "worker" or not 0 <= worker < workers:
        raise DistributionError(f"TF_CONFIG must name workers alone, and an index of one of them; got TF_CONFIG={text}")
    return worker, workers
