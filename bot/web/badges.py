"""A badge as SVG: one figure with its level's colour, readable on light and dark pages alike.

It is shown as an image, so it has neither script nor stylesheet: colours are attributes, and each
half brings its own ground. <https://www.w3.org/TR/SVG2/struct.html>
"""

from markupsafe import Markup

from bot.words import duration, per_unit, share
from models.badge_figures import DAYS, Figure

LABELS = {
    "deployment_frequency": "deployments",
    "change_lead_time": "lead time",
    "change_failure_rate": "change failures",
    "failed_deployment_recovery_time": "recovery time",
    "rework_rate": "rework",
}
TITLES = {
    "deployment_frequency": "Deployment frequency",
    "change_lead_time": "Change lead time, median",
    "change_failure_rate": "Change failure rate",
    "failed_deployment_recovery_time": "Failed deployment recovery time, median",
    "rework_rate": "Rework rate",
}
COLOURS = {"elite": "#13704a", "high": "#1e3a5f", "medium": "#845200", "low": "#b92a36"}
NEUTRAL, PLAIN, LABEL = "#566070", "#1e3a5f", "#24292f"
"""Nothing to judge; judged by no level; the ground of the label. White on each is easy to read."""

HEIGHT, PADDING, LETTER = 20, 7, 6.6
NARROW, WIDE = frozenset("fijlrtI1.,:;|!'() "), frozenset("mwMW%@")

TEMPLATE = Markup(
    '<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="{height}" '
    'viewBox="0 0 {whole} {height}" role="img" aria-labelledby="t"><title id="t">{title}</title>'
    '<path fill="{label_ground}" d="M4 0h{to_seam}v{height}H4a4 4 0 0 1-4-4V4a4 4 0 0 1 4-4z"/>'
    '<path fill="{ground}" d="M{seam} 0h{from_seam}a4 4 0 0 1 4 4v12a4 4 0 0 1-4 4H{seam}z"/>'
    '<g fill="#fff" font-family="system-ui,-apple-system,Segoe UI,Roboto,sans-serif" '
    'font-size="11.5" text-anchor="middle" aria-hidden="true">'
    '<text x="{label_at}" y="14" textLength="{label_length}">{label}</text>'
    '<text x="{value_at}" y="14" textLength="{value_length}">{value}</text></g></svg>\n'
)


def drawn(figure: Figure) -> str:
    """Draw a badge. It names nobody, and no repository: where it stands says whose it is."""
    label, value = LABELS[figure.metric], said(figure)
    label_length, value_length = length(label), length(value)
    seam = label_length + 2 * PADDING
    whole = seam + value_length + 2 * PADDING
    return TEMPLATE.format(
        whole=whole,
        height=HEIGHT,
        seam=seam,
        to_seam=seam - 4,
        from_seam=whole - seam - 4,
        title=title(figure),
        label_ground=LABEL,
        ground=ground(figure),
        label=label,
        value=value,
        label_at=PADDING + label_length / 2,
        value_at=seam + PADDING + value_length / 2,
        label_length=label_length,
        value_length=value_length,
    )


def said(figure: Figure) -> str:
    """Say the value, or that there is none to show."""
    if figure.withheld:
        return "withheld"
    if figure.value is None:
        return "no data"
    if figure.metric == "deployment_frequency":
        return " ".join(per_unit(figure.value))
    if figure.metric in ("change_failure_rate", "rework_rate"):
        return share(figure.value)
    return duration(figure.value)


def title(figure: Figure) -> str:
    """Say the whole of it, for those who do not see it."""
    told = f"{TITLES[figure.metric]}, last {DAYS} days: "
    if figure.withheld:
        return f"{told}withheld, for fewer than 5 people had a part in it"
    level = f" ({figure.level})" if figure.level else ""
    return f"{told}{said(figure)}{level}"


def ground(figure: Figure) -> str:
    """Return the colour behind the value: its level's, else one that judges nothing."""
    if figure.value is None:
        return NEUTRAL
    return COLOURS.get(figure.level or "", PLAIN)


def length(words: str) -> int:
    """Return how wide words are drawn; their letters are set to fill just that."""
    widths = (0.62 if each in NARROW else 1.4 if each in WIDE else 1.0 for each in words)
    return round(sum(widths) * LETTER)
