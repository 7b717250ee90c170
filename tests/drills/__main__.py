"""Every drill, one after another, and a table of what they found. `make drills` runs the short forms."""

import argparse
import sys
import time

from tests.drills import (
    a_rotations_on_schedule,
    b_sessions_revoked,
    c_service_away,
    d1_kill_in_rotation,
    d1b_kill_in_refresh_storm,
    d2a_database_refused,
    d2b_database_frozen,
    d2c_database_blackholed,
    d3_upstream_hangs,
    d4_three_replicas_rotate,
    d5_clock_skew,
    d6_logins_at_once,
    d7_slowloris,
    d10_graceful_stop,
    d11_rolling_restart,
    d13_key_set_away,
    d14_unknown_kids,
    d15_serialization_failures,
    d16_read_only,
    d17_one_failing_statement,
    d_key_revoked,
    e19_broker_stopped,
    r50_parallel_refresh,
)
from tests.drills.report import Drill, conduct

DRILLS: dict[str, Drill] = {
    "A": a_rotations_on_schedule.drill,
    "B": b_sessions_revoked.drill,
    "C": c_service_away.drill,
    "D": d_key_revoked.drill,
    "D1": d1_kill_in_rotation.drill,
    "D1b": d1b_kill_in_refresh_storm.drill,
    "D2a": d2a_database_refused.drill,
    "D2b": d2b_database_frozen.drill,
    "D2c": d2c_database_blackholed.drill,
    "D3": d3_upstream_hangs.drill,
    "D4": d4_three_replicas_rotate.drill,
    "D5": d5_clock_skew.drill,
    "D6": d6_logins_at_once.drill,
    "D7": d7_slowloris.drill,
    "D10": d10_graceful_stop.drill,
    "D11": d11_rolling_restart.drill,
    "D13": d13_key_set_away.drill,
    "D14": d14_unknown_kids.drill,
    "D15": d15_serialization_failures.drill,
    "D16": d16_read_only.drill,
    "D17": d17_one_failing_statement.drill,
    "E19": e19_broker_stopped.drill,
    "R50": r50_parallel_refresh.drill,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Break a running service on purpose.")
    parser.add_argument("--full", action="store_true", help="as long and as often as the security bar asks")
    parser.add_argument("--only", choices=DRILLS, action="append", help="may be given several times")
    parser.add_argument("--retry", action="store_true", help="hold a drill that fails once more: latencies need quiet")
    chosen = parser.parse_args()
    began = time.monotonic()
    results = []
    for name in chosen.only or DRILLS:
        found, seconds = conduct(name, DRILLS[name], full=chosen.full)
        if chosen.retry and not all(each.passed for each in found):
            print(f"{name} failed: once more, and this time it counts", flush=True)
            found, seconds = conduct(name, DRILLS[name], full=chosen.full)
        results += [(each, seconds) for each in found]
    print()
    for each, seconds in results:
        print(f"{'PASS' if each.passed else 'FAIL'}  {each.drill:<52} {each.form:<24} {seconds:5.0f} s")
    failed = sum(not each.passed for each, _ in results)
    print(f"\n{len(results) - failed} passed, {failed} failed, in {time.monotonic() - began:.0f} s")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
