"""Decoding one message, in this process: the decoders of ``signals`` beside the lines of a script written by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.measure import Effort, cpu_of_calls, ratio, spread
from benchmarks.plain_script import read
from benchmarks.table import Table
from benchmarks.workload import (
    BATCH_SAMPLES,
    CHANNELS,
    FORMS,
    SAMPLING_RATE_HZ,
    TOPIC,
    Form,
    device_name,
    mapping,
    payloads,
    stream,
)
from schemas import Mapping
from signals import compile_decoder
from signals.codecs import Decoder

_MESSAGES: dict[Form, int] = {"single": 20_000, "json": 2_000, "binary": 20_000}


def run(effort: Effort, work: Path) -> list[Table]:  # noqa: ARG001 - every benchmark is called alike
    """The table of decoders."""
    table = Table(
        f"decoding a message of {len(CHANNELS)} channels",
        ("form", "bytes", "signals.codecs, CPU µs", "by hand, CPU µs", "by hand, times ours"),
    )
    for form, title in FORMS.items():
        n_messages = effort.of(_MESSAGES[form], least=20)
        n_samples = 64 * BATCH_SAMPLES if form != "single" else 4096
        different = payloads(form, stream(0, n_samples)[0])
        messages = [different[index % len(different)] for index in range(n_messages)]
        ours, theirs = [], []
        for _ in range(effort.repeats):
            ours.append(1e6 * cpu_of_calls(_decode(decoder_of(form), messages)) / n_messages)
            theirs.append(1e6 * cpu_of_calls(_read(form, messages)) / n_messages)
        table.add(title, len(messages[0]), spread(ours), spread(theirs), ratio(theirs, ours))
    table.notes.append(
        "by hand: json.loads, one look-up a channel, an array for batches; no check of types, lengths or finiteness, "
        "and the time is not read"
    )
    return [table]


def decoder_of(form: Form) -> Decoder:
    """The decoder that an agent would compile for this form."""
    contract: TypeAdapter[Mapping] = TypeAdapter(Mapping)
    return compile_decoder(contract.validate_python(mapping(form)), [TOPIC], CHANNELS, SAMPLING_RATE_HZ)


def _decode(decoder: Decoder, messages: Sequence[bytes]) -> Callable[[], None]:
    topic = TOPIC.format(device=device_name(0))

    def work() -> None:
        for payload in messages:
            decoder.decode(topic, payload)

    return work


def _read(form: Form, messages: Sequence[bytes]) -> Callable[[], None]:
    def work() -> None:
        for payload in messages:
            read(payload, form)

    return work
