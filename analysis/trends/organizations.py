"""Who made a model: the one named first, by the name of its company, whose parts are not independent."""

from __future__ import annotations

import re

_PARTNERS = re.compile(r"\s*[,;/&]\s*|\s+and\s+")
ALIASES = {
    **{f"google {part}": "Google" for part in ("brain", "research", "deepmind", "ai")},
    "deepmind": "Google",
    **dict.fromkeys(
        ("facebook", "facebook ai", "facebook ai research", "fair", "meta ai", "meta platforms"), "Meta"
    ),
    "microsoft research": "Microsoft",
}
"""Names in lower case under which tables list parts of a company, which are resampled as one organisation."""


def first(text: str) -> str:
    """The company of the one named first in 'Stanford University and Google'; empty where none is."""
    name = _PARTNERS.split(text.strip())[0]
    return ALIASES.get(name.lower(), name)
