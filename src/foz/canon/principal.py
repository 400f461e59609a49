"""Who calls and pays."""

from enum import StrEnum

from msgspec import Struct


class Role(StrEnum):
    """`admin` may do everything; `user` may call models and see what is its own."""

    ADMIN = "admin"
    USER = "user"


class Allowance(Struct, frozen=True):
    """What a principal may use up. None is without limit. Money is pico-units of USD."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    budget: int | None = None
    budget_days: int = 30


class Principal(Struct, frozen=True):
    """A caller that we know. `id` is the key's id, never the key."""

    id: str
    role: Role = Role.USER
    project: str | None = None
    models: frozenset[str] | None = None
    """Public names this key may call; a name that ends in `*` is a prefix. None is all."""
    allowance: Allowance = Allowance()

    def may_call(self, model: str) -> bool:
        """Whether this key's list of models names this one."""
        if self.models is None or model in self.models:
            return True
        return any(name.endswith("*") and model.startswith(name[:-1]) for name in self.models)


LOCAL_ADMIN = Principal(id="local", role=Role.ADMIN)
"""Who calls from this machine while no key is configured."""
