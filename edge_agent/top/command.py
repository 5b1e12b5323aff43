"""``edge-agent top`` from its command line to the last frame."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.errors import StatusError, TopError
from edge_agent.operation.status_socket import ask_top, socket_path
from edge_agent.top.choices import Choices
from edge_agent.top.history import History
from schemas import TopView

if TYPE_CHECKING:
    from rich.console import Console

_PLAIN_WIDTH = 120
_PICTURE_WIDTH = 120
_FONT_FACE = re.compile(r"@font-face\s*\{\{.*?\}\}", re.DOTALL)


def run(arguments: argparse.Namespace) -> int:
    """Draw until ``q``, or once; 0 = ended by the person.

    Raises
    ------
    TopError
        If rich is not installed, or the picture cannot be written.
    StatusError
        If no agent answers.
    ConfigError
        If the configuration that names the socket cannot be used.
    """
    try:
        import rich  # noqa: F401 - the optional extra: is it there?
    except ImportError as error:
        raise TopError("top draws with rich, which is not installed: pip install 'telltale-edge[top]'") from error
    path = socket_path(arguments.socket, arguments.config)
    if arguments.once or not sys.stdout.isatty():
        return _once(path, arguments)
    return _live(path, arguments.interval)


def _once(path: Path, arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from edge_agent.top.screen import Size, frame

    history = History()
    view = ask_top(path)  # from now on the agent keeps what it sees of single devices
    until_s = time.monotonic() + arguments.after
    while (left_s := until_s - time.monotonic()) > 0.0:
        history.add(view)
        time.sleep(min(left_s, arguments.interval))
        view = ask_top(path)
    history.add(view)
    choices = Choices()
    if arguments.picture is not None:
        width = arguments.width or _PICTURE_WIDTH
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            console = Console(record=True, width=width, file=nowhere, force_terminal=True, color_system="truecolor")
            console.print(frame(view, history, choices, Size(width, None)))
            _write_picture(console, arguments.picture)
        return 0
    width = arguments.width or (None if sys.stdout.isatty() else _PLAIN_WIDTH)
    console = Console(width=width)
    console.print(frame(view, history, choices, Size(console.width, None)))
    return 0


def _write_picture(console: Console, path: Path) -> None:
    """The recorded frame as SVG that asks no other host for a font; written beside, then renamed."""
    from rich._export_format import CONSOLE_SVG_FORMAT
    from rich.terminal_theme import TerminalTheme

    theme = TerminalTheme(
        (13, 17, 23),
        (201, 209, 217),
        [
            (33, 38, 45),
            (252, 165, 165),
            (134, 239, 172),
            (252, 211, 77),
            (125, 211, 252),
            (249, 168, 212),
            (94, 234, 212),
            (201, 209, 217),
        ],
    )
    code = _FONT_FACE.sub("", CONSOLE_SVG_FORMAT).replace("Fira Code", "DejaVu Sans Mono, Menlo, Consolas")
    text = console.export_svg(title="edge-agent top", theme=theme, code_format=code, unique_id="top")
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with beside.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)  # noqa: PTH105 - the house rule in one word: write beside, replace
    except OSError as error:
        raise TopError(f"{path}: a file that can be written expected, got {error.strerror}") from error
    finally:
        beside.unlink(missing_ok=True)


def _live(path: Path, interval_s: float) -> int:
    from rich.console import Console
    from rich.live import Live

    from edge_agent.top.keys import Keyboard
    from edge_agent.top.screen import Size, frame

    console, choices, history = Console(), Choices(), History()
    view, trouble = ask_top(path), None
    history.add(view)
    next_s = time.monotonic() + interval_s
    with (
        contextlib.suppress(KeyboardInterrupt),
        Keyboard() as keyboard,
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):
        while not choices.is_over:
            live.update(frame(view, history, choices, Size(console.width, console.height), trouble), refresh=True)
            for key in keyboard.wait(max(0.0, min(next_s - time.monotonic(), 0.5))):
                choices.press(key)
            now_s = time.monotonic()
            if now_s >= next_s:
                next_s = now_s + interval_s
                if not choices.is_paused:
                    view, trouble = _look_again(path, view)
                    history.add(view)
    return 0


def _look_again(path: Path, before: TopView) -> tuple[TopView, str | None]:
    """The newest view, or the one before with the reason why there is none."""
    try:
        return ask_top(path), None
    except StatusError as error:
        return before, f"{error}; what stands here is old, asking again"
