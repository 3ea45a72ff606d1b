"""The bases on tf_keras' legacy optimizer, of which larq's are too."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from tfq.backend.keras import Tensor, keras
from tfq.optional import require

tf = require("tensorflow")


class Rule(keras.optimizers.legacy.Optimizer):
    """As `keras_3.Rule`."""

    _HAS_AGGREGATE_GRAD = True

    def __init__(self, hyperparameters: Mapping[str, Any], name: str, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self._names = tuple(hyperparameters)
        for key, value in hyperparameters.items():
            self._set_hyper(key, value)

    def step(self, variable: Tensor, gradient: Tensor, state: Tensor, **hyperparameters: Tensor) -> tuple[Tensor, Tensor]:
        """The new values of the variable and of its state."""
        raise NotImplementedError(f"{type(self).__name__} has no step")

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), **{key: self._serialize_hyperparameter(key) for key in self._names}}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """The optimizer that `config` describes."""
        read = keras.optimizers.schedules.deserialize
        return cls(**{k: read(v, custom_objects=custom_objects) if isinstance(v, dict) else v for k, v in config.items()})

    def _create_slots(self, var_list):
        for variable in var_list:
            self.add_slot(variable, "m")

    def _resource_apply_dense(self, grad, handle, apply_state=None):
        state = self.get_slot(handle, "m")
        values = {key: self._now(key, handle.dtype.base_dtype) for key in self._names}
        new_variable, new_state = self.step(tf.convert_to_tensor(handle), grad, tf.convert_to_tensor(state), **values)
        return tf.group(state.assign(new_state), handle.assign(new_variable))

    def _now(self, key, dtype):
        value = self._get_hyper(key, dtype)
        return tf.cast(value(tf.cast(self.iterations, dtype)), dtype) if callable(value) else value


class Cases(keras.optimizers.legacy.Optimizer):
    """As `keras_3.Cases`."""

    _HAS_AGGREGATE_GRAD = True

    def __init__(self, optimizers: Sequence[Any], name: str) -> None:
        super().__init__(name=name)
        self.name = name
        self.optimizers = list(optimizers)
        self._case_of: dict[int, int | None] = {}
        for index, optimizer in enumerate(self.optimizers):  # for checkpoints
            self._track_trackable(optimizer, name=f"optimizer_{index}")

    def cases(self, variables: Sequence[Any]) -> list[int | None]:
        """For each variable the index of its optimizer, or None, where it is not trained."""
        raise NotImplementedError(f"{type(self).__name__} has no cases")

    @property
    def weights(self) -> list[Any]:
        """Those of the optimizers."""
        return [weight for optimizer in self.optimizers for weight in optimizer.weights]

    @property
    def iterations(self) -> Any:
        """The steps of the first optimizer, which are those of all."""
        return self.optimizers[0].iterations

    @iterations.setter
    def iterations(self, variable: Any) -> None:
        raise NotImplementedError(f"{type(self).__name__} counts no steps itself; set those of its optimizers")

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Any]], name: str | None = None, **kwargs: Any) -> Any:
        """As in tf_keras; each optimizer applies the gradients of its variables."""
        pairs = list(grads_and_vars)
        if not self._case_of:
            variables = [variable for _, variable in pairs]
            self._case_of = dict(zip(map(_key, variables), self.cases(variables), strict=True))
        shares = [[pair for pair in pairs if self._case_of.get(_key(pair[1])) == index] for index in range(len(self.optimizers))]
        for optimizer, share in zip(self.optimizers, shares, strict=True):
            with tf.init_scope():
                optimizer._create_all_weights([variable for _, variable in share])
        # All together, as replicas must meet once for a step.
        return tf.distribute.get_replica_context().merge_call(self._apply_shares, args=(shares, name), kwargs=kwargs)

    def _apply_shares(self, distribution, shares, name, **kwargs):
        each = distribution.extended.call_for_each_replica
        done = [
            each(optimizer.apply_gradients, args=(share,), kwargs=kwargs)
            for optimizer, share in zip(self.optimizers, shares, strict=True)
            if share
        ]
        return tf.group(*done, name=name or "train_with_group")


def _key(variable):
    """The same for all replicas of a variable."""
    return id(variable._distributed_container()) if hasattr(variable, "_distributed_container") else id(variable)
