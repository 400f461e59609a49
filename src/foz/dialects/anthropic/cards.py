"""Models as Anthropic lists them, a page at a time."""

from datetime import UTC, datetime
from urllib.parse import parse_qs

from foz.canon.fault import BadRequest
from foz.canon.model import Model
from foz.dialects.anthropic.fields import invalid
from foz.dialects.anthropic.reference import ModelInfo, ModelPage

USUAL = 20
MOST = 1000


def card(model: Model) -> ModelInfo:
    """One model. What is known of its first target is told of it."""
    moment = datetime.fromtimestamp(model.created, UTC)
    profile = model.targets[0].profile if model.targets else None
    return ModelInfo(
        model.name,
        model.title or model.name,
        f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        max_input_tokens=profile.context if profile else None,
        max_tokens=profile.max_output if profile else None,
    )


def _limit(asked: str) -> int:
    if not (asked.isascii() and asked.isdigit() and len(asked) <= len(str(MOST)) and 1 <= int(asked) <= MOST):
        raise invalid("limit", f"Input should be a whole number from 1 to {MOST}")
    return int(asked)


def _place(names: list[str], id: str, field: str) -> int:
    if id not in names:
        raise BadRequest(f"{field}: there is no model '{id[:256]}' in this list", field=field)
    return names.index(id)


def page(models: list[Model], query: str) -> ModelPage:
    """The models that the query asks for: `limit` of them, behind `after_id` or before `before_id`."""
    asked = {name: values[-1] for name, values in parse_qs(query, max_num_fields=100).items()}
    limit = _limit(asked.get("limit", str(USUAL)))
    names = [model.name for model in models]
    if "before_id" in asked:
        end = _place(names, asked["before_id"], "before_id")
        start = max(end - limit, 0)
        more = start > 0
    else:
        start = _place(names, asked["after_id"], "after_id") + 1 if "after_id" in asked else 0
        end = start + limit
        more = end < len(models)
    shown = tuple(map(card, models[start:end]))
    return ModelPage(shown, more, shown[0].id if shown else None, shown[-1].id if shown else None)
