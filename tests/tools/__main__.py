"""Run one of the programs with its arguments."""

import os
import sys

from tests import tools

command = tools.program(sys.argv[1])
os.execv(command, [str(command), *sys.argv[2:]])
