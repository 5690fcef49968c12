"""What a reader has to know before believing the intervals of a table's trends."""

from __future__ import annotations

from analysis.trends.models import ORGANIZATION
from analysis.trends.study import Study
from analysis.trends.trend import FEW_ORGANIZATIONS
from analysis.trends.words import counted

CAVEAT = (
    "The interval of a record's trend resamples organisations and finds the records anew in each replicate. Records "
    "are extremes: a replicate lacks some of their makers, so its records are other, smaller models, and the interval "
    "is rough. The headline is always the trend of all models by least squares, whatever the numbers."
)


def cautions(found: Study) -> list[str]:
    """What a reader has to know before believing the intervals."""
    told = []
    if found.table.left_out:
        parts = ", ".join(f"{count} with {why}" for why, count in found.table.left_out.items())
        told.append(f"Left out of {found.table.rows} rows: {parts}.")
    for one in found.quantities:
        trend = one.headline
        if trend.organizations == 1:
            told.append(
                f"{one.name}: all models are of one organisation, so models were resampled as if independent. The "
                "interval is too narrow by as much as they are alike, and no verdict is given on claims."
            )
        elif trend.few:
            told.append(
                f"{one.name}: only {counted(trend.organizations)}. The interval, the wider of resampled organisations "
                "and resampled models, is too narrow, and no verdict is given on claims."
            )
        elif trend.organizations < FEW_ORGANIZATIONS:
            told.append(
                f"{one.name}: only {counted(trend.organizations)}, too few for their resampling to be trusted; the "
                "interval is rough."
            )
    if found.table.active is not None:
        told.append(
            "parameters: of mixtures of experts all are counted; the version active parameters counts those that a "
            "token passes, and --where 'active_parameters == parameters' chooses dense models alone."
        )
    told += [f"{one.quantity}: no trend ({one.reason})." for one in found.absent]
    if found.table.missing:
        told.append(f"The table has no column {' or '.join(found.table.missing)}; name it by --columns.")
    if ORGANIZATION in found.table.missing:
        told.append(
            "Without organisations each model counts as independent, and the intervals are likely too narrow."
        )
    return told
