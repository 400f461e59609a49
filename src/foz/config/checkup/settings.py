"""What the settings themselves say: where they come from, which providers have keys, which models cannot be served."""

from foz.canon.model import Model
from foz.config.checkup.finding import Finding, note, ok, problem, warning
from foz.config.settings import Settings
from foz.providers.catalog import SIMULATED


def sources(settings: Settings) -> list[Finding]:
    """Where each setting that is no default comes from, and what looks wrong."""
    where = str(settings.file) if settings.file else "no foz.toml"
    findings = [ok("settings", f"{where}, {len(settings.sources)} settings that are no default")]
    findings += [note(f"setting {name}", source) for name, source in settings.sources.items()]
    findings += [warning("settings", told, "correct it, or remove it") for told in settings.warnings]
    if settings.test_mode:
        findings.append(note("settings", "test mode: every answer is simulated, nothing leaves the machine"))
    return findings


def providers(settings: Settings) -> list[Finding]:
    """Who may be called, and why the others may not. Who has an endpoint to ask is judged by its answer."""
    findings = []
    for one in settings.providers:
        topic = f"provider {one.name}"
        if one.state == "off":
            findings.append(note(topic, one.why))
        elif one.name == SIMULATED:
            findings.append(ok(topic, "in this process"))
        elif one.state == "probe":
            findings.append(note(topic, f"used when it answers at {one.row.base_url}"))
        else:
            key = f"key from {one.key_from}" if one.key_from else "no key" if one.row.secret else "needs no key"
            if one.credentials is not None:
                key = f"signs with [{one.credentials.profile.name}] of {one.credentials.file}"
            findings.append(ok(topic, f"{one.row.base_url}, {key}"))
    return findings


def models(found: list[Model]) -> list[Finding]:
    """The models of the settings that no target can serve."""
    findings = []
    for model in found:
        whys = [f"{target.name}: {target.barred}" for target in model.targets if target.barred]
        if len(whys) == len(model.targets):
            findings.append(problem(f"model {model.name}", "; ".join(whys), "set the key, or give it another target"))
        elif whys:
            findings.append(note(f"model {model.name}", f"works, but without {'; '.join(whys)}"))
    return findings
