"""What all tests share."""

from hypothesis import settings

# No deadline for an example: on a busy machine it would make every property a timed test.
settings.register_profile("aiemp", deadline=None)
settings.load_profile("aiemp")
