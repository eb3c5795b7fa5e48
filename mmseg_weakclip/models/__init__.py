# ruff: noqa: F403
from .cam import *
from .clims import *
from .clip import *
from .excel import *
from .losses import *
from .refine import *
from .weakclip import *
