"""What is tried at each gateway, in the order of docs/gateways.md."""

from collections.abc import Sequence

from tests.gateways import browsers, strangers, traffic, who_passes
from tests.gateways.case import Case

CASES: Sequence[Case] = (*who_passes.case, *strangers.case, *browsers.case, *traffic.case)
