"""Any module as newer code runs it, which writes deposits in a shape that today's code does not know.

The module is in the environment, as UPGRADED.
"""

import os
import runpy

from tests.support.newer import upgraded

if __name__ == "__main__":
    with upgraded():
        runpy.run_module(os.environ["UPGRADED"], run_name="__main__")
