"""The expressions of `--where`: conditions over columns, of which nothing else is evaluated."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from analysis.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_ALLOWED = (
    *(ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.UAdd, ast.Compare),
    *(ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn),
    *(ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.Mod),
    *(ast.Name, ast.Load, ast.Constant, ast.List, ast.Tuple),
)


def evaluate(table: pd.DataFrame, expression: str) -> pd.Series:
    """True where an expression over columns is true: names, constants, comparisons, and/or/not, arithmetic, `in`.

    A comparison with a missing value is false. Raises InputError for anything else: no call, attribute or index is
    evaluated.
    """
    import pandas as pd

    tree = _parse(expression)
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise InputError(
                f"--where {expression!r} holds {type(node).__name__.lower()}, which is not allowed; use names of "
                "columns, numbers, strings, comparisons, and, or, not, in, + - * / ** %"
            )
        if isinstance(node, ast.Name) and node.id not in table.columns:
            present = ", ".join(map(str, table.columns))
            raise InputError(
                f"--where {expression!r} names {node.id!r}, which is no column; columns are: {present}"
            )
        if isinstance(node, ast.Constant) and type(node.value) is int:
            node.value = float(node.value)  # whole numbers grow without end, 9**9**9 for one
    try:
        result = table.eval(ast.unparse(tree), engine="python")
    except (
        Exception
    ) as error:  # pandas raises many kinds for what the whitelist lets through, e.g. text < number
        raise InputError(f"--where {expression!r} cannot be evaluated: {error}") from None
    if not isinstance(result, pd.Series) or not pd.api.types.is_bool_dtype(result.dtype):
        raise InputError(f"--where {expression!r} is not true or false in each row; compare, e.g. 'N > 1e6'")
    return result.astype("boolean").fillna(False).astype(bool)


def _parse(expression: str) -> ast.Expression:
    try:
        return ast.parse(expression.strip(), mode="eval")
    except SyntaxError as error:
        raise InputError(f"--where {expression!r} is not an expression: {error.msg}") from None
