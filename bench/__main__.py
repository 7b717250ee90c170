"""`python -m bench`: measure, print the table, keep the figures. `--only refresh` (or several) measures only that."""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

from bench import (
    gateways,
    http_routes,
    limits,
    list_users,
    login,
    many_revocations,
    refresh,
    start,
    trust_stream,
    under_load,
    unknown_kids,
    unknown_user,
    verify_local,
    verify_rpc,
)
from bench.figures import Figure, Measure

RESULTS = Path(__file__).with_name("results")
LATEST = RESULTS / "latest.json"

MEASUREMENTS: dict[str, Measure] = {
    "verify_local": verify_local.measure,
    "verify_rpc": verify_rpc.measure,
    "http_routes": http_routes.measure,
    "refresh": refresh.measure,
    "login": login.measure,
    "limits": limits.measure,
    "unknown_user": unknown_user.measure,
    "under_load": under_load.measure,
    "list_users": list_users.measure,
    "trust_stream": trust_stream.measure,
    "many_revocations": many_revocations.measure,
    "unknown_kids": unknown_kids.measure,
    "gateways": gateways.measure,
    "start": start.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    chosen = parser.parse_args().only
    RESULTS.mkdir(exist_ok=True)
    began, kept = time.perf_counter(), []
    print(_line("", "median", "quartiles", "target", ""))
    for name in chosen:
        for figure in MEASUREMENTS[name]():
            print(_row(figure), flush=True)
            kept.append(asdict(figure))
        # After each, so that nothing is lost if a later one fails.
        LATEST.write_text(json.dumps(kept, indent=1))
    print(f"\n{time.perf_counter() - began:.0f} s on a machine that may be busy: read the ratios. {LATEST}")


def _row(figure: Figure) -> str:
    unit = "" if figure.unit == "ratio" else f" {figure.unit}"
    lower, upper = figure.spread
    verdict = {True: "met", False: "NOT MET", None: ""}[figure.is_met]
    return _line(figure.name, f"{figure.median:.3g}{unit}", f"{lower:.3g} to {upper:.3g}", figure.target, verdict)


def _line(name: str, median: str, spread: str, target: str, verdict: str) -> str:
    return f"{name:<54} {median:>9}  {spread:>16}  {target:>7}  {verdict}".rstrip()


if __name__ == "__main__":
    main()
