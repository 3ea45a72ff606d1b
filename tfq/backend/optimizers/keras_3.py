"""The bases on Keras 3's optimizer, whose steps run in TensorFlow, JAX (without state) and PyTorch."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from tfq.backend.keras import Tensor, keras_3, ops


def _no_rate():
    """What stands for the learning rate of an optimizer without one; as a function it takes no variable."""
    return 1.0


class Rule(keras_3.optimizers.Optimizer):
    """An optimizer whose `step` takes a variable, its gradient and its state, and gives the new variable and state.

    Args:
        hyperparameters: numbers or schedules by name; each becomes an attribute, and an argument of `step`.
        name: of the optimizer.
        **kwargs: as in `keras.optimizers.Optimizer`.
    """

    def __init__(self, hyperparameters: Mapping[str, Any], name: str, **kwargs: Any) -> None:
        super().__init__(learning_rate=_no_rate, name=name, **kwargs)
        self._names = tuple(hyperparameters)
        for key, value in hyperparameters.items():
            setattr(self, key, value if callable(value) else self._variable(key, value))

    def step(self, variable: Tensor, gradient: Tensor, state: Tensor, **hyperparameters: Tensor) -> tuple[Tensor, Tensor]:
        """The new values of the variable and of its state."""
        raise NotImplementedError(f"{type(self).__name__} has no step")

    def build(self, variables: Sequence[Any]) -> None:
        """Add a state for each variable."""
        if self.built:
            return
        super().build(variables)
        self._states = self.add_optimizer_variables(variables, "m")

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Any) -> None:
        """Update one variable and its state."""
        state = self._states[self._get_variable_index(variable)]
        values = {key: ops.cast(self._now(key), variable.dtype) for key in self._names}
        old = ops.convert_to_tensor(variable), ops.cast(gradient, variable.dtype), ops.convert_to_tensor(state)
        new_variable, new_state = self.step(*old, **values)
        self.assign(state, new_state)
        self.assign(variable, new_variable)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        of_keras = {key: value for key, value in super().get_config().items() if key != "learning_rate"}
        return {**of_keras, **{key: self._saved(getattr(self, key)) for key in self._names}}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """The optimizer that `config` describes."""
        read = keras_3.saving.deserialize_keras_object
        return cls(**{k: read(v, custom_objects=custom_objects) if isinstance(v, dict) else v for k, v in config.items()})

    def _variable(self, key, value):
        initial = keras_3.initializers.Constant(value)
        return self.add_variable((), initial, dtype="float32", aggregation="only_first_replica", name=key)

    def _now(self, key):
        value = getattr(self, key)
        return value(self.iterations) if callable(value) else value

    @staticmethod
    def _saved(value):
        if callable(value):
            return keras_3.saving.serialize_keras_object(value)
        return float(value.numpy())


class Cases(keras_3.optimizers.Optimizer):
    """An optimizer that hands each variable to one of `optimizers`, whose states are among its own variables.

    Args:
        optimizers: the optimizers.
        name: of this one.
    """

    def __init__(self, optimizers: Sequence[Any], name: str) -> None:
        super().__init__(learning_rate=_no_rate, name=name)
        self.optimizers = list(optimizers)

    def cases(self, variables: Sequence[Any]) -> list[int | None]:
        """For each variable the index of its optimizer, or None, where it is not trained."""
        raise NotImplementedError(f"{type(self).__name__} has no cases")

    @property
    def variables(self) -> list[Any]:
        """Its own, and those of the optimizers."""
        return [*self._variables, *(variable for optimizer in self.optimizers for variable in optimizer.variables)]

    @property
    def learning_rate(self) -> Any:
        """That of the last optimizer, which is the default one where there is any."""
        return self.optimizers[-1].learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.optimizers[-1].learning_rate = value

    def build(self, variables: Sequence[Any]) -> None:
        """Tell the variables apart and build each optimizer for its own."""
        if self.built:
            return
        self._case_of = self.cases(variables)
        for index, optimizer in enumerate(self.optimizers):
            optimizer.build([variable for variable, case in zip(variables, self._case_of, strict=True) if case == index])
        super().build(variables)

    def apply(self, grads: Sequence[Tensor], trainable_variables: Sequence[Any] | None = None) -> None:
        """As in Keras; each optimizer applies the gradients of its variables."""
        variables = self._trainable_variables if trainable_variables is None else list(trainable_variables)
        self.build(variables)
        self._check_variables_are_known(variables)
        case_of = [self._case_of[self._get_variable_index(variable)] for variable in variables]
        for index, optimizer in enumerate(self.optimizers):
            own = [pair for *pair, case in zip(grads, variables, case_of, strict=True) if case == index]
            if own:
                optimizer.apply([gradient for gradient, _ in own], [variable for _, variable in own])
        self._iterations.assign_add(1)

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        """As in Keras, for averages of the weights."""
        for optimizer in self.optimizers:
            optimizer.finalize_variable_values(optimizer._trainable_variables)
