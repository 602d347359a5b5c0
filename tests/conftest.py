"""How tests run, all of them."""

from hypothesis import settings

# how long an example takes is the machine's affair, and the first one compiles
settings.register_profile("course", deadline=None)
settings.load_profile("course")
