"""Parts and toyland are registered before any test of the models."""

import mmseg_weakclip.parts  # noqa: F401
