"""Arrays of JAX that NumPy's functions accept, so that a law's equation is differentiated as it stands."""

from __future__ import annotations

from typing import Any

import numpy as np


class Traced(np.lib.mixins.NDArrayOperatorsMixin):
    """A JAX array or tracer; NumPy's ufuncs (NEP 13) and functions (NEP 18) of it are those of jax.numpy of that name.

    A law's `log_basis` of such exponents returns such terms. What jax.numpy lacks, or a conversion to a NumPy array,
    raises TypeError.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    def __getitem__(self, index: Any) -> Traced:
        return Traced(self.value[index])

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError("a traced array has no values; use NumPy's functions of it and no conversion")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """The function of jax.numpy that is named like the ufunc."""
        if method != "__call__" or options:
            raise TypeError(f"{ufunc.__name__} is used in a way that JAX cannot follow")
        return _like(ufunc.__name__, inputs, {})

    def __array_function__(self, function: Any, types: Any, inputs: Any, options: Any) -> Any:
        """The function of jax.numpy of that name."""
        return _like(function.__name__, inputs, options)


def bare(value: Any) -> Any:
    """What is traced, taken out of its wrapping, in lists and tuples too."""
    if isinstance(value, Traced):
        return value.value
    if isinstance(value, (list, tuple)):
        return type(value)(bare(item) for item in value)
    return value


def _like(name: str, inputs: Any, options: Any) -> Traced:
    import jax.numpy as jnp

    function = getattr(jnp, name, None)
    if function is None:
        raise TypeError(f"jax.numpy has no {name}")
    return Traced(function(*map(bare, inputs), **{key: bare(value) for key, value in options.items()}))
