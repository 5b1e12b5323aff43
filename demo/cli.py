"""``python -m demo``: the whole house in one command; ``plant`` and ``train`` run parts of it on your own broker.

Exit codes: 0 every step held; 1 a step failed, named on standard error; 2 usage.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from demo.errors import DemoError
from demo.screen import Screen, make_console
from schemas.errors import EdgeError

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130

COMMANDS = ("plant", "train")


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of one command line; an error is one line on standard error."""
    words = list(sys.argv[1:] if argv is None else argv)
    command: Callable[[Sequence[str]], int] = _demo
    if words and words[0] in COMMANDS:
        command = {"plant": _plant, "train": _train}[words.pop(0)]
    # A stop from outside unwinds like Ctrl-C: agents and broker are ended by who started them.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return command(words)
    except EdgeError as error:
        print(f"demo: {' '.join(str(error).split())}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _positive(text: str) -> float:
    value = float(text)
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"a number above 0 expected, got {text}")
    return value


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 80:
        raise argparse.ArgumentTypeError(f"1 to 80 expected, got {text}")
    return value


def _demo_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="A broker, a plant, a fit, two agents and a table. Exit code 0 only if every step held.",
        epilog="Further commands: python -m demo plant --help · python -m demo train --help",
    )
    parser.add_argument(
        "--recording", type=Path, metavar="FILE.npz", help="real recordings instead of the simulated plant"
    )
    parser.add_argument(
        "--speed", type=_positive, help="plant seconds in a second (default 10; recordings: as fast as possible)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the plant and of the fits (default 1)")
    parser.add_argument("--devices", type=_count, default=3, help="pumps and rooms to label live, each (default 3)")
    parser.add_argument(
        "--training-devices", type=_count, default=6, help="pumps and rooms to learn from, each (default 6)"
    )
    parser.add_argument(
        "--seconds", type=_positive, default=120.0, help="plant time to record, and to label (default 120)"
    )
    parser.add_argument("--features", default="auto", help="recordings: features of trainer fit (default auto)")
    parser.add_argument(
        "--format", choices=("json", "binary"), default="json", help="recordings: what the messages look like"
    )
    parser.add_argument(
        "--broker-kind", choices=("auto", "mosquitto", "amqtt"), default="auto", help="which broker to start"
    )
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep models, recordings, configurations and logs here"
    )
    parser.add_argument(
        "--picture", type=Path, metavar="FILE.svg", help="write what was shown as an SVG, and signals beside it"
    )
    parser.add_argument(
        "--json", action="store_true", help="the result as JSON on standard output, the rest on standard error"
    )
    return parser


def _demo(words: Sequence[str]) -> int:
    from demo.broker import Broker
    from demo.perform import Performance
    from demo.plant_demo import PlantOptions, run_plant_demo
    from demo.recording_demo import RecordingOptions, run_recording_demo
    from demo.ribbon import write
    from demo.scene import performance_panels
    from demo.screen import score_tables
    from demo.wire import Address

    arguments = _demo_parser().parse_args(words)
    if arguments.picture is not None and arguments.picture.is_dir():
        raise DemoError(f"--picture: a file to write expected, got the folder {arguments.picture}")
    screen = Screen(make_console(stderr=arguments.json))
    failure = ""
    performance: Performance | None = None
    with ExitStack() as stack:
        folder = _working_folder(arguments.keep, stack)
        screen.title("sensor messages in, labels out", "python -m demo" + _shown_words(arguments))
        try:
            with screen.step("broker") as step:
                broker = Broker.auto(arguments.broker_kind)
                stack.callback(broker.stop)
                broker.start()
                step.note(f"{broker.name} on loopback; {broker.promise}")
            address = Address(broker.host, broker.port, broker.speaks_mqtt5)
            if arguments.recording is None:
                plant = PlantOptions(
                    seed=arguments.seed,
                    n_live=arguments.devices,
                    n_training=arguments.training_devices,
                    live_s=arguments.seconds,
                    training_s=arguments.seconds,
                    speed=arguments.speed or 10.0,
                )
                speed = f"plant ×{plant.speed:g}"
                performance = run_plant_demo(screen, address, folder, plant)
            else:
                recording = RecordingOptions(
                    arguments.recording, arguments.seed, arguments.speed, arguments.format, arguments.features
                )
                speed = "as fast as the broker acknowledges" if arguments.speed is None else f"×{arguments.speed:g}"
                performance = run_recording_demo(screen, address, folder, recording)
            screen.show(score_tables(performance.scores, speed_text=speed))
        except EdgeError as error:
            failure = " ".join(str(error).split())
        if arguments.picture is not None and performance is not None:
            screen.picture(arguments.picture, "python -m demo")
            write(arguments.picture.with_name("signals.svg"), performance_panels(performance))
    if arguments.json:
        scores = [one.as_dict() for one in performance.scores] if performance is not None else []
        result = {"ok": not failure, "failed": failure or None, "steps": screen.steps, "scores": scores}
        print(json.dumps(result, indent=2))
    if failure:
        print(f"demo: failed at {failure}", file=sys.stderr)
        return EXIT_FAILED
    screen.console.print("[bold green]every step held[/]")
    return EXIT_OK


def _shown_words(arguments: argparse.Namespace) -> str:
    return "" if arguments.recording is None else f" --recording {arguments.recording.name}"


def _working_folder(keep: Path | None, stack: ExitStack) -> Path:
    if keep is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="telltale-demo-")))
    try:
        keep.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DemoError(f"--keep: a folder that can be written expected, got {keep}: {error.strerror}") from error
    return keep


def _plant(words: Sequence[str]) -> int:
    from demo.services import run_plant
    from demo.wire import Address

    parser = argparse.ArgumentParser(prog="python -m demo plant", description="Publish the simulated plant.")
    parser.add_argument("--broker", required=True, metavar="HOST:PORT", help="where to publish")
    parser.add_argument("--speed", type=_positive, default=1.0, help="plant seconds in a second (default 1)")
    parser.add_argument("--seconds", type=_positive, help="stop after so many seconds (default: never)")
    parser.add_argument("--devices", type=_count, default=3, help="pumps and rooms, each (default 3)")
    parser.add_argument("--seed", type=int, default=1, help="of the plant (default 1)")
    arguments = parser.parse_args(words)
    run_plant(
        Screen(make_console()),
        Address.parse(arguments.broker),
        n_devices=arguments.devices,
        seed=arguments.seed,
        speed=arguments.speed,
        seconds=arguments.seconds,
    )
    return EXIT_OK


def _train(words: Sequence[str]) -> int:
    from demo.services import run_train
    from demo.wire import Address

    parser = argparse.ArgumentParser(
        prog="python -m demo train", description="Record labelled data off a broker and fit pump.onnx and room.onnx."
    )
    parser.add_argument("--broker", required=True, metavar="HOST:PORT", help="where the plant publishes")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="where the models go")
    parser.add_argument("--seconds", type=_positive, default=100.0, help="how long to record (default 100)")
    parser.add_argument("--head", choices=("logistic", "mlp"), default="logistic", help="which of the two fits to keep")
    parser.add_argument("--seed", type=int, default=1, help="of the fits (default 1)")
    arguments = parser.parse_args(words)
    run_train(
        Screen(make_console()),
        Address.parse(arguments.broker),
        arguments.out,
        head=arguments.head,
        seed=arguments.seed,
        seconds=arguments.seconds,
    )
    return EXIT_OK
