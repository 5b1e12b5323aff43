"""The long form: ``python -m tests.faults [ROW ...] [--kills N] [--short] [--write] [--keep FOLDER]``."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults.report import cells, line_of, table, write_results, write_rows
from tests.faults.rows import BY_NUMBER, ROWS
from tests.faults.runner import Result, run_row
from tests.faults.soak import soak


def say(text: str) -> None:
    """Print, and let it be seen at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """0 = every row that was run held."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(BY_NUMBER)}, soak; none = all but soak")
    parser.add_argument("--kills", type=int, metavar="N", help="injections of each row, instead of its own number")
    parser.add_argument("--minutes", type=float, default=60.0, metavar="M", help="how long the soak runs")
    parser.add_argument("--rate", type=int, default=2_000, metavar="HZ", help="messages a second of the soak")
    parser.add_argument("--seed", type=int, default=7, metavar="S", help="of the moments of the faults")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep logs and files of every row there")
    arguments = parser.parse_args()
    names = arguments.rows or [row.number for row in ROWS if row.long]
    unknown = [name for name in names if name not in BY_NUMBER and name != "soak"]
    if unknown:
        parser.error(f"rows expected out of {', '.join(BY_NUMBER)}, soak; got {', '.join(unknown)}")
    results: list[Result] = []
    has_failed = False
    for name in names:
        with tempfile.TemporaryDirectory(prefix="telltale-faults-") as scratch:
            folder = (arguments.keep or Path(scratch)) / name
            folder.mkdir(parents=True, exist_ok=True)
            if name == "soak":
                report = soak(folder, minutes=arguments.minutes, rate_hz=arguments.rate, seed=arguments.seed)
                say(report.text)
                has_failed = has_failed or bool(report.failures)
                if arguments.write:
                    write_results("soak", report.text)
                continue
            row = BY_NUMBER[name]
            result = run_row(row, arguments.kills or row.long or row.short, folder, arguments.seed)
            results.append(result)
            has_failed = has_failed or bool(result.failures)
            say(line_of(result))
            if arguments.write:
                write_rows([result], [row.number for row in ROWS])
    if results:
        say(f"\n{table([cells(result) for result in results])}")
    return int(has_failed)


if __name__ == "__main__":
    sys.exit(main())
