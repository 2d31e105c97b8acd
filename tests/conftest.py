"""What all tests share: how hypothesis runs."""

from hypothesis import HealthCheck, settings

# Machines that run tests are busy, so an example may take its time; every run tries the same ones, so that a failure
# is there again. `pytest --hypothesis-profile=thorough` searches further.
_SLOW = [HealthCheck.too_slow]
settings.register_profile("kvplan", deadline=None, derandomize=True, max_examples=60, suppress_health_check=_SLOW)
settings.register_profile("thorough", deadline=None, max_examples=2_000, suppress_health_check=_SLOW)
settings.load_profile("kvplan")
