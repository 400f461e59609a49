"""No example of hypothesis is timed, here or in CI: nothing that a test says hangs on how busy the machine is."""

from hypothesis import HealthCheck, settings

settings.register_profile("untimed", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
