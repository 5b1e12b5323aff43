"""From everything heard to families: sorted by product, template, layout and channels, each with its mapping."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from edge_agent.init.clocks import Rate, plan_windows, rate_of
from edge_agent.init.discovery import Units
from edge_agent.init.family import ChannelFound, Family, Recognised
from edge_agent.init.forms import WORDS, Form, form_of
from edge_agent.init.grouping import TopicGroup, group_channels, group_json, group_scalars
from edge_agent.init.hearing import Hearing
from edge_agent.init.json_form import JsonForm
from edge_agent.init.products import UNIT_WORDS, Known, know, plain, zigbee_bases
from schemas import TopicTemplate
from schemas.mapping import JsonMapping, JsonTime, ScalarMapping
from signals.codecs.json_paths import compile_path, find

_MAX_CHANNELS = 32
_OFTEN = 4
_PLAIN_NAME = re.compile(r"[^A-Za-z0-9]+")


def recognise(hearing: Hearing, *, units: Units, listened_s: float) -> Recognised:
    """The families in what was heard."""
    bases = zigbee_bases(list(hearing.topics))
    known: dict[tuple[str, str], list[Form]] = {}
    json_forms: dict[tuple[object, ...], list[Form]] = {}
    numbers: list[Form] = []
    result = Recognised([], {})
    for topic, heard in hearing.topics.items():
        who = know(topic, bases) or Known("plain")
        form = Form("silent", heard) if who.ignored else form_of(heard)
        why = who.ignored or _no_sample(form)
        if why is not None:
            result.passed_over.setdefault(why, []).append(topic)
        elif form.kind == "binary":
            result.families.append(_binary_family(form))
        elif who.template is not None and (form.kind == "json" or "{channel}" in who.template):
            known.setdefault((who.product, who.template), []).append(form)
        elif form.json is not None:
            json_forms.setdefault(_layout(form.json), []).append(form)
        else:
            numbers.append(form)
    result.families += _known_families(known, units=units, listened_s=listened_s)
    for forms in json_forms.values():
        for group in group_json([form.heard.topic for form in forms]):
            result.families += _json_families("plain", group, forms, units=units, listened_s=listened_s)
    for group in group_scalars([form.heard.topic for form in numbers]) if numbers else []:
        result.families += _scalar_families("plain", [group], numbers, units=units, listened_s=listened_s)
    _note_neighbours(result.families)
    result.families.sort(key=lambda family: (family.problem is not None, -family.n_messages))
    return result


def _note_neighbours(families: Sequence[Family]) -> None:
    """Families under the same topics: each pipeline sees the other's messages."""
    for family in families:
        others = [other for other in families if other is not family and set(other.topics) & set(family.topics)]
        if others and isinstance(family.mapping, JsonMapping):
            family.notes.append("other devices share these topics: their messages are counted here as missing_field")


def _no_sample(form: Form) -> str | None:
    heard = form.heard
    if form.kind == "silent":
        if heard.n_too_large:
            return "larger than 64 KiB: an agent refuses such messages"
        return "only a retained value: last-known state, never a sample; listen longer to hear it live"
    if form.kind == "text":
        return "text without a number"
    if form.json is not None and not form.json.channels and form.json.problem is None:
        return "JSON without a number that is a measurement"
    return None


def _layout(form: JsonForm) -> tuple[object, ...]:
    """Messages of one layout go into one mapping; which channels each device has is looked at later."""
    time = None if form.time is None else (form.time.path, form.time.unit, form.time.of)
    return (form.rows, form.is_columns, form.devices, time, frozenset(form.channels))


def _known_families(known: dict[tuple[str, str], list[Form]], units: Units, listened_s: float) -> list[Family]:
    """Topics whose template a product gives; scalar topics of one product and depth of devices share a pipeline."""
    families: list[Family] = []
    scalars: dict[str, list[tuple[TopicGroup, list[Form]]]] = {}
    for (product, template), forms in known.items():
        readable = [form for form in forms if form.json is not None]
        by_time: dict[tuple[object, ...], list[Form]] = {}
        for form in readable:
            if form.json is not None:
                by_time.setdefault(_layout(form.json)[:4], []).append(form)
        for part in by_time.values():
            group = TopicGroup(template, [form.heard.topic for form in part])
            families += _json_families(product, group, part, units=units, listened_s=listened_s)
        rest = [form for form in forms if form.json is None]
        if rest:
            group = TopicGroup(template, [form.heard.topic for form in rest])
            scalars.setdefault(product, []).append((group, rest))
    for product, parts in scalars.items():
        forms = [form for _, part in parts for form in part]
        families += _scalar_families(product, [group for group, _ in parts], forms, units=units, listened_s=listened_s)
    return families


# ----------------------------------------------------------------------------------------------------------------- JSON


def _json_families(
    product: str, group: TopicGroup, forms: Sequence[Form], *, units: Units, listened_s: float
) -> list[Family]:
    template = TopicTemplate(group.template)
    wanted = set(group.topics)
    of_device: dict[str, list[Form]] = {}
    for form in forms:
        if form.heard.topic in wanted:
            found = template.match(form.heard.topic) or {}
            of_device.setdefault(found.get("device", form.heard.topic), []).append(form)
    channels_of = {
        device: {path for form in part if form.json for path in form.json.channels}
        for device, part in of_device.items()
    }
    families = []
    for channels in group_channels(channels_of):
        part = [form for device in channels.devices for form in of_device[device]]
        families.append(
            _json_family(
                product, group.template, part, channels.channels, channels.also, units=units, listened_s=listened_s
            )
        )
    return families or [_unread_json(product, group, [form for part in of_device.values() for form in part])]


def _unread_json(product: str, group: TopicGroup, forms: list[Form]) -> Family:
    problem = next((form.json.problem for form in forms if form.json and form.json.problem), "no number in it")
    return Family(product, [group.template], [], forms, problem=problem)


def _json_family(
    product: str,
    template: str,
    forms: list[Form],
    common: frozenset[str],
    also: frozenset[str],
    *,
    units: Units,
    listened_s: float,
) -> Family:
    first = next(form.json for form in forms if form.json is not None)
    matched = [(TopicTemplate(template).match(form.heard.topic) or {}).get("device", "") for form in forms]
    family = Family(product, [template], sorted(set(matched)), forms)
    paths = [*_in_order(forms, common), *_in_order(forms, also)][:_MAX_CHANNELS]
    said = {path: name for form in forms if form.json for path, name in form.json.names.items()}
    names = _names(paths, said)
    for path in paths:
        values = [value for form in forms if form.json for value in form.json.channels.get(path, ())]
        unit = _unit(path, forms, units)
        family.channels.append(ChannelFound(names[path], path, unit, *_range(values), is_common=path in common))
    kept = {channel.name: channel.where for channel in family.channels}
    time = first.time
    if first.devices is not None and len(forms) == 1:
        family.topics = [
            template.replace("{device}", forms[0].heard.topic.split("/")[template.split("/").index("{device}")])
        ]
        family.devices = sorted(_by_device(forms[0], first.devices))
    family.rate = _json_rate(forms)
    inside_hz = family.rate.hz if family.rate is not None and first.batch > 1 else None
    family.mapping = JsonMapping(
        channels=kept,
        samples=first.rows,
        device=first.devices if len(forms) == 1 else None,
        time=None if time is None else JsonTime(path=time.path, unit=time.unit, of=time.of),
        sampling_rate_hz=inside_hz if time is None or time.of != "each" else None,
    )
    is_state = product in {"zigbee2mqtt", "shelly", "tasmota"}
    family.plan = plan_windows(family.rate, listened_s, has_time=time is not None, is_state=is_state)
    if family.rate is not None:
        family.deadline_s = float(f"{min(3600.0, max(2.0, 2 * first.batch * family.rate.interval_s)):.3g}")
    if time is None and first.no_zone is not None:
        family.notes.append(
            f"{first.no_zone} is local time without a zone: samples are placed by receipt. To use it: "
            f'time = {{ path = "{first.no_zone}", unit = "iso8601", zone = "Europe/Berlin" }}'
        )
    family.notes += _passed_over(forms)
    return family


def _in_order(forms: Sequence[Form], wanted: Iterable[str]) -> list[str]:
    order = dict.fromkeys(path for form in forms if form.json for path in form.json.channels)
    chosen = set(wanted)
    return [path for path in order if path in chosen]


def _by_device(form: Form, path: str) -> dict[str, list[int]]:
    """Device named in the message -> receipt times of its messages, in ns."""
    steps = compile_path(path)
    found: dict[str, list[int]] = {}
    for received, document in form.documents:
        name = find(document, steps)
        if isinstance(name, str):
            found.setdefault(name, []).append(received)
    return found


def _passed_over(forms: Sequence[Form]) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for form in forms:
        for path, why in form.json.passed_over.items() if form.json else ():
            names = reasons.setdefault(why, [])
            if path not in names:
                names.append(path)
    return [f"left out, {why}: {', '.join(names[:8])}" for why, names in reasons.items()]


def _json_rate(forms: Sequence[Form]) -> Rate | None:
    inside = [step for form in forms if form.json and form.json.time for step in form.json.time.inside_ns]
    if len(inside) >= 2:
        return rate_of(inside)
    intervals: list[int] = []
    receipts: list[int] = []
    batches: list[int] = []
    for form in forms:
        if form.json is None:
            continue
        batches.append(form.json.batch)
        runs = [[received for received, _ in run] for run in form.heard.runs]
        if form.json.devices is not None:
            # Several devices on one topic: the rhythm is that of each. A hole between two runs is one interval of many.
            runs = list(_by_device(form, form.json.devices).values())
            receipts += [later - earlier for run in runs for earlier, later in pairwise(run)]
        else:
            receipts += form.heard.intervals_ns
        if form.json.time is not None:
            times = dict(form.json.time.messages_ns)
            for run in runs:
                found = [times[received] for received in run if received in times]
                intervals += [later - earlier for earlier, later in pairwise(found)]
    each = statistics.median(batches) if batches else 1.0
    return rate_of(intervals, each) or rate_of(receipts, each)


# -------------------------------------------------------------------------------------------------------------- scalars


def _scalar_families(
    product: str, groups: Sequence[TopicGroup], forms: Sequence[Form], *, units: Units, listened_s: float
) -> list[Family]:
    form_at = {form.heard.topic: form for form in forms}
    of_device: dict[str, dict[str, tuple[Form, TopicGroup]]] = {}
    for group in groups:
        template = TopicTemplate(group.template)
        for topic in group.topics:
            found = template.match(topic) or {}
            channel = found.get("channel") or group.channel or "value"
            of_device.setdefault(found.get("device", topic), {}).setdefault(channel, (form_at[topic], group))
    families = []
    for channels in group_channels({device: set(found) for device, found in of_device.items()}):
        part = [(name, *of_device[device][name]) for device in channels.devices for name in of_device[device]]
        heard = {name: max(form.heard.n_live for other, form, _ in part if other == name) for name, _, _ in part}
        often = frozenset(name for name in channels.channels if heard[name] > 1 or max(heard.values()) < _OFTEN)
        families.append(_scalar_family(product, channels.devices, part, often, units=units, listened_s=listened_s))
    return families


def _scalar_family(
    product: str,
    devices: list[str],
    part: list[tuple[str, Form, TopicGroup]],
    common: frozenset[str],
    *,
    units: Units,
    listened_s: float,
) -> Family:
    templates = list(dict.fromkeys(group.template for _, _, group in part))
    family = Family(product, templates, sorted(devices), [form for _, form, _ in part])
    levels = list(dict.fromkeys(name for name, _, _ in part))
    levels.sort(key=lambda name: name not in common)
    names = _names(levels)
    for level in levels[:_MAX_CHANNELS]:
        values = [value for name, form, _ in part if name == level for value in form.numbers]
        unit = next((found for name, form, _ in part if name == level and (found := units.at(form.heard.topic))), None)
        unit = unit or UNIT_WORDS.get(plain(level))
        family.channels.append(ChannelFound(names[level], level, unit, *_range(values), is_common=level in common))
    fixed = next((group.channel for _, _, group in part if group.channel), None)
    words = sorted({word for _, form, _ in part for word in form.words})
    has_level = any("{channel}" in template for template in templates)
    family.mapping = ScalarMapping(
        channels={channel.name: channel.where for channel in family.channels} if has_level else {},
        channel=names[fixed] if fixed is not None and not has_level else None,
        values={word: WORDS[word] for word in words},
    )
    rates = [rate for _, form, _ in part if (rate := rate_of(form.heard.intervals_ns)) is not None]
    if rates:
        family.rate = sorted(rates, key=lambda rate: rate.hz)[(len(rates) - 1) // 2]
    family.plan = plan_windows(family.rate, listened_s, has_time=False, is_state=True)
    return family


# --------------------------------------------------------------------------------------------------------------- frames


def _binary_family(form: Form) -> Family:
    family = Family("binary", [form.heard.topic], [], [form])
    family.problem = "binary frames: their fields cannot be guessed; describe them below, from the data sheet"
    family.rate = rate_of(form.heard.intervals_ns)
    return family


def _names(paths: Sequence[str], said: Mapping[str, str] | None = None) -> dict[str, str]:
    """A short name each, none twice: the end of the path, with what stands before it where that is not enough."""
    taken: dict[str, str] = {}
    named: dict[str, str] = {}
    for path in paths:
        words = [word for word in _PLAIN_NAME.split((said or {}).get(path, path)) if word] or ["value"]
        if words[-1].isdigit():
            words[-1] = f"c{words[-1]}"
        lengths = range(1, len(words) + 1)
        name = next((text for n in lengths if (text := "_".join(words[-n:]).lower()) not in taken), "")
        while not name or name in taken:
            name = f"{'_'.join(words).lower()}_{len(taken)}"
        taken[name] = path
        named[path] = name[-120:]
    return named


def _unit(path: str, forms: Sequence[Form], units: Units) -> str | None:
    for form in forms:
        if form.json is not None and (said := form.json.units.get(path)):
            return said
        if (said := units.at(form.heard.topic, path)) is not None:
            return said
    leaf = plain(re.split(r"[.\[\]\"]+", path)[-1])
    return UNIT_WORDS.get(leaf)


def _range(values: Sequence[float]) -> tuple[float, float]:
    return (min(values), max(values)) if values else (0.0, 0.0)
