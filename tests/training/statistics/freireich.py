"""Weeks of remission of 42 children with leukaemia on 6-mercaptopurine or placebo: Freireich 1963, Blood 21:699."""

from __future__ import annotations

import numpy as np

_IN_RELAPSE = (6, 6, 6, 7, 10, 13, 16, 22, 23)
_IN_REMISSION = (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)
_PLACEBO = (1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23)

TIME = np.array([*_IN_RELAPSE, *_IN_REMISSION, *_PLACEBO], dtype=float)
EVENT = np.repeat([True, False, True], [9, 12, 21])
TREATED = np.arange(42) < 21
