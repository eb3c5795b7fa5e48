"""Read the values of a pickle without importing or calling anything.

``pickletools`` of the standard library splits the bytes into instructions;
this module carries out those that PyTorch writes into its archives. A name of
a class or function stays a name: the caller gives a table of the functions
that may be called, and an object of any class becomes a :class:`Record`.
"""

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# Instructions whose argument is the value itself.
LITERALS = {
    'BININT', 'BININT1', 'BININT2', 'LONG1', 'LONG4', 'BINFLOAT',
    'BINUNICODE', 'SHORT_BINUNICODE', 'BINUNICODE8',
}  # fmt: skip
CONSTANTS = {'NONE': None, 'NEWTRUE': True, 'NEWFALSE': False}
SHORT_TUPLES = {'EMPTY_TUPLE': 0, 'TUPLE1': 1, 'TUPLE2': 2, 'TUPLE3': 3}
PUTS = {'BINPUT', 'LONG_BINPUT', 'PUT'}
GETS = {'BINGET', 'LONG_BINGET', 'GET'}
SILENT = {'PROTO', 'FRAME'}


@dataclass(frozen=True)
class Name:
    """Name of a class or function, ``'module.name'``."""

    path: str


@dataclass(eq=False)
class Record:
    """Object of a class that was not imported.

    Attributes:
        kind: Name of the class.
        state: What the object would restore itself from.
    """

    kind: str
    state: Any = None


def read_pickle(
    data: bytes,
    functions: Mapping[str, Callable],
    find_persistent: Callable[[Any], Any],
) -> Any:
    """Return the value that a pickle describes.

    Args:
        data: Whole pickle.
        functions: Function to call for each name that may be called. They
            get values of any type, so they have to check them.
        find_persistent: Returns the value of a persistent id.

    Raises:
        ValueError: The pickle is damaged, calls another name, or has an
            instruction that PyTorch does not write.
    """
    machine = _Machine(functions, find_persistent)
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name == 'STOP':
            return machine.pop()
        machine.step(opcode.name, argument)
    raise ValueError('the pickle has no end')


class _Machine:
    """Stack and memo of a pickle."""

    def __init__(
        self,
        functions: Mapping[str, Callable],
        find_persistent: Callable[[Any], Any],
    ) -> None:
        self.functions = functions
        self.find_persistent = find_persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        """Carry out one instruction."""
        if name in LITERALS:
            self.stack.append(argument)
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name])
        elif name in SHORT_TUPLES:
            items = [self.pop() for _ in range(SHORT_TUPLES[name])]
            self.stack.append(tuple(reversed(items)))
        elif name in PUTS:
            self.memo[argument] = self.top()
        elif name == 'MEMOIZE':
            self.memo[len(self.memo)] = self.top()
        elif name in GETS:
            if argument not in self.memo:
                raise ValueError('the pickle refers to a missing value')
            self.stack.append(self.memo[argument])
        elif name not in SILENT:
            method = getattr(self, f'do_{name.lower()}', None)
            if method is None:
                raise ValueError(f'the pickle has an instruction {name}')
            method(argument)

    def pop(self) -> Any:
        """Remove and return the last value."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ValueError('the pickle lacks a value')
        return self.stack.pop()

    def top(self, kind: type = object) -> Any:
        """Return the last value, which must be of a type."""
        value = self.pop()
        self.stack.append(value)
        if not isinstance(value, kind):
            raise ValueError(
                f'the pickle has a {type(value).__name__} in place of a '
                f'{kind.__name__}'
            )
        return value

    def pop_mark(self) -> list[Any]:
        """Remove and return the values behind the last mark."""
        if not self.marks:
            raise ValueError('the pickle lacks a mark')
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def pop_name(self) -> str:
        """Remove and return a name."""
        path = self.top(Name).path
        self.pop()
        return path

    def fill(self, items: list[Any]) -> None:
        """Add keys and values, in turn, to the dict on the stack."""
        target = self.top(dict)
        if len(items) % 2:
            raise ValueError('the pickle has a key without a value')
        for key, value in zip(items[::2], items[1::2]):
            # The hash of a deeply nested tuple would exhaust the stack.
            if not isinstance(key, str | int):
                raise ValueError(f'the pickle has a {type(key)} as a key')
            target[key] = value

    def do_mark(self, _: Any) -> None:
        self.marks.append(len(self.stack))

    def do_tuple(self, _: Any) -> None:
        self.stack.append(tuple(self.pop_mark()))

    def do_empty_list(self, _: Any) -> None:
        self.stack.append([])

    def do_append(self, _: Any) -> None:
        value = self.pop()
        self.top(list).append(value)

    def do_appends(self, _: Any) -> None:
        items = self.pop_mark()
        self.top(list).extend(items)

    def do_empty_dict(self, _: Any) -> None:
        self.stack.append({})

    def do_setitem(self, _: Any) -> None:
        value, key = self.pop(), self.pop()
        self.fill([key, value])

    def do_setitems(self, _: Any) -> None:
        self.fill(self.pop_mark())

    def do_global(self, argument: str) -> None:
        self.stack.append(Name(argument.replace(' ', '.')))

    def do_binpersid(self, _: Any) -> None:
        self.stack.append(self.find_persistent(self.pop()))

    def do_newobj(self, _: Any) -> None:
        self.pop()
        self.stack.append(Record(self.pop_name()))

    def do_build(self, _: Any) -> None:
        state = self.pop()
        self.top(Record).state = state

    def do_reduce(self, _: Any) -> None:
        arguments = self.top(tuple)
        self.pop()
        path = self.pop_name()
        if path not in self.functions:
            raise ValueError(f'the pickle calls {path}')
        self.stack.append(self.functions[path](*arguments))
