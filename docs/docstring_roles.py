"""Docstrings name what they refer to as :func:`x`; here it becomes code."""

import re
from typing import Any

from griffe import Extension, Object

ROLE = re.compile(r':(?:func|class|meth|mod|data|attr):(`)~?([^`]+`)')


class DocstringRoles(Extension):
    """Takes the roles out of all docstrings."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Change the docstring of a module, class or function."""
        if obj.docstring is not None:
            obj.docstring.value = ROLE.sub(r'\1\2', obj.docstring.value)
