"""The faults, one class each: ``start`` prepares, ``inject`` does it once and undoes what must not last, ``stop`` ends.

An injection returns when the site can go on: what was killed has been started again. Sleeps are the duration of the
fault itself, drawn from the given span.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Protocol

from tests.faults.launcher import JOURNAL_POINTS, POINTS, RELOAD_POINTS
from tests.faults.proxy import Mode
from tests.faults.site import AgentError, Site

Span = tuple[float, float]
"""Seconds, from ... to."""

_EARLY_SHARE = 0.2
_RELOAD_S = 0.6
_POINT_DEADLINE_S = 60.0
_POLL_S = 0.02


class Fault(Protocol):
    """What can go wrong at a site."""

    def start(self, site: Site) -> None:
        """Prepare; the stream runs already."""

    def inject(self, site: Site, chance: random.Random) -> None:
        """Do it once."""

    def stop(self, site: Site) -> None:
        """End what lasts beyond an injection."""


class _Once:
    """A fault that needs neither preparation nor an end."""

    def start(self, site: Site) -> None:
        """Nothing to prepare."""

    def stop(self, site: Site) -> None:
        """Nothing lasts."""


class Nothing(_Once):
    """No fault: what the site does when it is left alone."""

    def inject(self, site: Site, chance: random.Random) -> None:
        """Let the stream run."""
        time.sleep(chance.uniform(0.5, 1.0))


@dataclass
class KillAgent(_Once):
    """SIGKILL of the agent; now and then again while it is still starting."""

    down_s: Span = (0.0, 0.5)

    def inject(self, site: Site, chance: random.Random) -> None:
        """Kill and start again."""
        site.agent.kill()
        time.sleep(chance.uniform(*self.down_s))
        site.start_agent()
        if chance.random() < _EARLY_SHARE:
            time.sleep(chance.uniform(0.1, 1.0))
            site.agent.kill()
            site.start_agent()
        site.wait_for_agent()


@dataclass
class KillBroker(_Once):
    """SIGKILL of the broker, and a start on what its store holds then."""

    down_s: Span = (0.0, 1.0)
    wipes: bool = False

    def inject(self, site: Site, chance: random.Random) -> None:
        """Kill, wipe the store if that is the fault, start again."""
        site.broker.kill()
        if self.wipes:
            for path in site.broker.store.glob("mosquitto.db*"):
                path.unlink()
        time.sleep(chance.uniform(*self.down_s))
        site.broker.start()


@dataclass
class RestartBroker(_Once):
    """The broker ends in good order and starts again."""

    down_s: Span = (0.0, 1.0)

    def inject(self, site: Site, chance: random.Random) -> None:
        """Stop and start."""
        site.broker.stop()
        time.sleep(chance.uniform(*self.down_s))
        site.broker.start()


@dataclass
class KillBoth(_Once):
    """SIGKILL of agent and broker at one moment; they come back in either order."""

    down_s: Span = (0.0, 1.0)

    def inject(self, site: Site, chance: random.Random) -> None:
        """Kill both, start both."""
        first, second = (site.broker.kill, site.agent.kill)
        if chance.random() < 0.5:
            first, second = second, first
        first()
        second()
        time.sleep(chance.uniform(*self.down_s))
        if chance.random() < 0.5:
            site.start_agent()
            time.sleep(chance.uniform(0.0, 1.0))
            site.broker.start()
        else:
            site.broker.start()
            site.start_agent()
        site.wait_for_agent()


@dataclass
class StopBroker(_Once):
    """SIGSTOP of the broker, and SIGCONT."""

    for_s: Sequence[float] = (1.0, 3.0, 8.0)

    def __post_init__(self) -> None:
        """Go round and round."""
        self._next_s = cycle(self.for_s)

    def inject(self, site: Site, chance: random.Random) -> None:
        """Stand still for the next of the times."""
        os.kill(site.broker.pid, signal.SIGSTOP)
        time.sleep(next(self._next_s))
        os.kill(site.broker.pid, signal.SIGCONT)


@dataclass
class BadLink(_Once):
    """The link between agent and broker is like this for a while; then as a wire again, with or without a RST."""

    mode: Mode
    for_s: Span
    resets_after: bool = False

    def inject(self, site: Site, chance: random.Random) -> None:
        """Turn the link bad and good again."""
        assert site.proxy is not None
        site.proxy.turn(self.mode)
        time.sleep(chance.uniform(*self.for_s))
        if self.resets_after:
            site.proxy.reset()
        site.proxy.turn("pass")


class ResetLink(_Once):
    """A RST to both sides of every connection of the agent."""

    def inject(self, site: Site, chance: random.Random) -> None:
        """Once."""
        assert site.proxy is not None
        site.proxy.reset()


@dataclass
class KillAtPoints(_Once):
    """The agent kills itself at one named point of its loop after the other, at a call drawn for each."""

    points: Sequence[str] = tuple(name for name in POINTS if name not in JOURNAL_POINTS)
    struck: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Go round and round."""
        self._next = cycle(self.points)

    def inject(self, site: Site, chance: random.Random) -> None:
        """Start the agent with the order to die there; when it has, start it without."""
        name = next(self._next)
        site.agent.kill()
        if name in RELOAD_POINTS:
            site.install_model(1)
        site.start_agent({"kill": {"point": name, "call": chance.randint(1, POINTS[name].spread)}})
        if name in RELOAD_POINTS:
            site.wait_for_agent()
            site.install_model(2)
            os.kill(site.agent.pid, signal.SIGHUP)
        until_s = time.monotonic() + _POINT_DEADLINE_S
        while site.agent.is_running:
            if time.monotonic() > until_s:
                raise AgentError(f"the agent never reached the point {name}")
            time.sleep(_POLL_S)
        if (code := site.agent.stop()) != -signal.SIGKILL:  # it has ended: this only asks how
            raise AgentError(f"the agent ended with {code} before it reached the point {name}")
        self.struck.append(name)
        site.start_agent()
        site.wait_for_agent()


@dataclass
class SwapModel(_Once):
    """Another model file is installed and the agent told (SIGHUP); more often than not it is killed at it."""

    kill_share: float = 0.8
    _version: int = 1

    def inject(self, site: Site, chance: random.Random) -> None:
        """Install, tell, and kill within the time that a reload takes; or wait until it runs."""
        self._version += 1
        digest = site.install_model(self._version)
        os.kill(site.agent.pid, signal.SIGHUP)
        if chance.random() < self.kill_share:
            time.sleep(chance.uniform(0.0, _RELOAD_S))
            site.agent.kill()
            site.start_agent()
            site.wait_for_agent()
        else:
            site.wait_for_model(digest)


@dataclass
class ConsumerAway(_Once):
    """The consumer is killed; its session stays at the broker."""

    for_s: Span

    def inject(self, site: Site, chance: random.Random) -> None:
        """Away, and back."""
        assert site.consumer is not None
        site.consumer.kill()
        time.sleep(chance.uniform(*self.for_s))
        site.start_consumer()


@dataclass
class LabelsLostWithBroker(_Once):
    """The consumer is away, so labels wait in the broker, which is killed with them and stays away for a while."""

    away_s: Span
    down_s: Span

    def inject(self, site: Site, chance: random.Random) -> None:
        """Consumer away, broker killed and back, consumer back."""
        assert site.consumer is not None
        site.consumer.kill()
        time.sleep(chance.uniform(*self.away_s))
        site.broker.kill()
        time.sleep(chance.uniform(*self.down_s))
        site.broker.start()
        site.wait_for_agent()
        site.start_consumer()


@dataclass
class ConsumerLeaves(_Once):
    """The consumer gives up its subscriptions: the broker answers labels with "no matching subscribers" (0x10)."""

    for_s: Span

    def inject(self, site: Site, chance: random.Random) -> None:
        """Leave, and come back."""
        assert site.consumer is not None
        site.consumer.tell("leave")
        assert site.consumer.hear() == "left\n"
        site.consumer.kill()
        time.sleep(chance.uniform(*self.for_s))
        site.start_consumer()


@dataclass
class AgentAway(_Once):
    """The agent is down while samples pile up at the broker."""

    for_s: Span

    def inject(self, site: Site, chance: random.Random) -> None:
        """Down, and back."""
        site.agent.kill()
        time.sleep(chance.uniform(*self.for_s))
        site.start_agent()
        site.wait_for_agent()


@dataclass
class BrokerAway(_Once):
    """The broker ends in good order and stays away; the agent, which holds labels for it, is killed meanwhile."""

    for_s: Span

    def inject(self, site: Site, chance: random.Random) -> None:
        """Broker away, agent killed and started, broker back."""
        site.broker.stop()
        time.sleep(chance.uniform(*self.for_s) / 2)
        site.agent.kill()
        site.start_agent()
        time.sleep(chance.uniform(*self.for_s) / 2)
        site.broker.start()
        site.wait_for_agent()


@dataclass
class MuteDevice(_Once):
    """One device after the other falls silent for good, in the middle of a window."""

    muted: list[int] = field(default_factory=list)

    def inject(self, site: Site, chance: random.Random) -> None:
        """One more."""
        assert site.publisher is not None
        device = len(self.muted)
        self.muted.append(device)
        site.publisher.tell(f"mute {device}")


class FullDisk:
    """A file system is filled to its last byte, for a while."""

    def __init__(self, folder: Path, for_s: Span) -> None:
        self._ballast = folder / "ballast"
        self._for_s = for_s

    def start(self, site: Site) -> None:
        """Nothing is full yet."""

    def fill(self) -> None:
        """Take every free byte."""
        with self._ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        with self._ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0")

    def stop(self, site: Site) -> None:
        """Give the space back."""
        self._ballast.unlink(missing_ok=True)


class FullStateDisk(FullDisk):
    """The disk of the agent's state is full; the agent is killed while it is, and starts on it."""

    def inject(self, site: Site, chance: random.Random) -> None:
        """Fill, kill, start, free."""
        self.fill()
        time.sleep(chance.uniform(*self._for_s))
        site.agent.kill()
        site.start_agent()
        site.wait_for_agent()
        time.sleep(chance.uniform(*self._for_s))
        self.stop(site)


class FullBrokerDisk(FullDisk):
    """The broker's disk is full while the agent is away, then the broker is killed: what it took meanwhile is gone."""

    def inject(self, site: Site, chance: random.Random) -> None:
        """Fill, agent away, kill the broker, free, start both."""
        self.fill()
        time.sleep(chance.uniform(*self._for_s))
        site.agent.kill()
        time.sleep(chance.uniform(1.0, 3.0))
        site.broker.kill()
        self.stop(site)
        site.broker.start()
        site.start_agent()
        site.wait_for_agent()


@dataclass
class ReadOnlyState:
    """The file system of the agent's state turns read-only, as a worn card does; the agent is killed while it is."""

    folder: Path
    for_s: Span

    def start(self, site: Site) -> None:
        """It can be written yet."""

    def inject(self, site: Site, chance: random.Random) -> None:
        """Read-only, kill, start, writable."""
        site.agent.kill()  # a file open for writing would keep the kernel from turning the file system read-only
        remount(self.folder, "ro")
        site.start_agent()
        site.wait_for_agent()
        time.sleep(chance.uniform(*self.for_s))
        site.agent.kill()
        site.start_agent()
        site.wait_for_agent()
        time.sleep(chance.uniform(*self.for_s))
        self.stop(site)

    def stop(self, site: Site) -> None:
        """It can be written again."""
        remount(self.folder, "rw")


@dataclass
class AnyOf:
    """One of several faults, drawn anew for each injection."""

    faults: Sequence[Fault]

    def start(self, site: Site) -> None:
        """All of them."""
        for fault in self.faults:
            fault.start(site)

    def inject(self, site: Site, chance: random.Random) -> None:
        """One of them."""
        chance.choice(self.faults).inject(site, chance)

    def stop(self, site: Site) -> None:
        """All of them."""
        for fault in self.faults:
            fault.stop(site)


class MountRefusedError(OSError):
    """This user may not mount: the fault cannot be injected here."""


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own, of this size, mounted at ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    program = shutil.which("mount", path="/bin:/usr/bin:/sbin:/usr/sbin")
    done = None
    if program is not None:
        command = [program, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done is None or done.returncode:
        raise MountRefusedError(f"mounting is not permitted: {done.stderr.strip() if done else 'no mount program'}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


def remount(folder: Path, how: str) -> None:
    """Turn a mounted file system read-only (``ro``) or writable (``rw``)."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True, capture_output=True)
