"""Times, durations and sizes as people read them: `2025-05-24T10:15:00Z`, `10s`, `5m`, `28GB`."""

from datetime import UTC, datetime

_SECOND, _MINUTE, _HOUR = 1_000, 60_000, 3_600_000
_FEW = 10
_KIB = 1024


def moment(at: int) -> str:
    """UTC milliseconds, to the second: `2025-05-24T10:15:00Z`."""
    return datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def span(milliseconds: int) -> str:
    """A duration: `10s`, `5m`, `1h30m`; of less than ten seconds to a tenth."""
    if milliseconds < _FEW * _SECOND:
        return _short(milliseconds / _SECOND) + "s"
    if milliseconds < _MINUTE:
        return f"{milliseconds // _SECOND}s"
    big, small, names = (_MINUTE, _SECOND, "ms") if milliseconds < _HOUR else (_HOUR, _MINUTE, "hm")
    whole, rest = divmod(milliseconds, big)
    part = f"{rest // small}{names[1]}" if rest // small else ""
    return f"{whole}{names[0]}{part}"


def size(bytes: int) -> str:
    """Bytes: `28GB`, `350MB`; of less than ten to a tenth."""
    figure = float(bytes)
    for unit in ("B", "KB", "MB"):
        if figure < _KIB:
            return _short(figure) + unit
        figure /= _KIB
    return _short(figure) + "GB"


def _short(figure: float) -> str:
    return f"{figure:.1f}".removesuffix(".0") if figure < _FEW else f"{figure:.0f}"
