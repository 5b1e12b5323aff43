"""Which level of a topic names the device and which the channel: told by what varies between topics."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from edge_agent.init.products import is_plain_leaf, names_quantity

_MAX_SPLIT = 8


class TopicGroup(NamedTuple):
    """Topics under one template; ``channel`` = the one channel where the template has no {channel} level."""

    template: str
    topics: list[str]
    channel: str | None = None


def group_json(topics: Sequence[str]) -> list[TopicGroup]:
    """Templates with ``{device}`` for topics whose messages are laid out alike.

    Examples
    --------
    >>> [group.template for group in group_json(["plant/p1/vibration", "plant/p2/vibration"])]
    ['plant/{device}/vibration']
    >>> [group.template for group in group_json(["site1/hall/p1", "site1/roof/p2"])]
    ['site1/+/{device}']
    """
    groups = []
    for levels in _by_length(topics):
        varying = _varying(levels)
        if not varying:
            groups.append(_json_group(levels, _likely_device(levels[0])))
        elif len(varying) == 1:
            groups.append(_json_group(levels, varying[0]))
        else:
            telling = [position for position in varying if len({row[position] for row in levels}) == len(levels)]
            if telling and len(varying) < len(levels[0]):
                best = next((position for position in reversed(telling) if not _is_word(levels, position)), telling[-1])
                groups.append(_json_group(levels, best, [position for position in varying if position != best]))
            else:
                groups += _split(levels, varying[0], group_json)
    return groups


def group_scalars(topics: Sequence[str]) -> list[TopicGroup]:
    """Templates with ``{device}`` and ``{channel}`` for topics that carry one number each.

    Examples
    --------
    >>> group_scalars(["home/attic/temperature", "home/attic/humidity", "home/cellar/humidity"])[0].template
    'home/{device}/{channel}'
    >>> group_scalars(["node-1/temperature", "node-2/temperature"])[0][::2]
    ('{device}/temperature', 'temperature')
    """
    groups = []
    for levels in _by_length(topics):
        varying = _varying(levels)
        if len(varying) > 2:
            groups += _split(levels, varying[0], group_scalars)
            continue
        if len(varying) == 2:
            channel: int | None = max(varying, key=lambda position: (_is_word(levels, position), position))
            device = next(position for position in varying if position != channel)
        elif varying:
            (only,) = varying
            is_channel = len(levels[0]) > 1 and (
                _is_word(levels, only) or (only == len(levels[0]) - 1 and not _is_numbered(levels, only))
            )
            channel = only if is_channel else None
            device = _likely_device(levels[0], without=only) if is_channel else only
        else:
            channel, device = None, _likely_device(levels[0], without=_quantity_level(levels[0]))
        named = list(levels[0])
        named[device] = "{device}"
        fixed = None
        if channel is None:
            fixed = next(
                (level for level in reversed(named) if level != "{device}" and not is_plain_leaf(level)), "value"
            )
        else:
            named[channel] = "{channel}"
        groups.append(TopicGroup("/".join(named), ["/".join(row) for row in levels], fixed))
    return groups


class ChannelGroup(NamedTuple):
    """Devices that share channels; ``also`` = what only some of them have."""

    devices: list[str]
    channels: frozenset[str]
    also: frozenset[str]


def group_channels(channels_of: Mapping[str, AbstractSet[str]]) -> list[ChannelGroup]:
    """Devices with mostly the same channels together: each group keeps the channels that all its devices have.

    Examples
    --------
    >>> group_channels({"a": {"t", "h"}, "b": {"t", "h", "p"}, "plug": {"power"}})[1][::2]
    (['a', 'b'], frozenset({'p'}))
    """
    groups: list[ChannelGroup] = []
    for device, found in sorted(channels_of.items(), key=lambda item: (len(item[1]), item[0])):
        if not found:
            continue
        for position, group in enumerate(groups):
            common = group.channels & found
            if 2 * len(common) >= max(len(group.channels), len(found)):
                every = group.channels | group.also | found
                groups[position] = ChannelGroup([*group.devices, device], frozenset(common), frozenset(every - common))
                break
        else:
            groups.append(ChannelGroup([device], frozenset(found), frozenset()))
    return groups


def _by_length(topics: Sequence[str]) -> list[list[list[str]]]:
    lengths: dict[int, list[list[str]]] = {}
    for topic in sorted(topics):
        levels = topic.split("/")
        lengths.setdefault(len(levels), []).append(levels)
    return list(lengths.values())


def _varying(levels: list[list[str]]) -> list[int]:
    return [position for position, column in enumerate(zip(*levels, strict=True)) if len(set(column)) > 1]


def _is_word(levels: list[list[str]], position: int) -> bool:
    return 2 * sum(names_quantity(row[position]) for row in levels) >= len(levels)


def _is_numbered(levels: list[list[str]], position: int) -> bool:
    """Whether the level is one name with changing numbers: node-1, node-2."""
    return len({re.sub(r"[0-9a-f]*\d[0-9a-f]*", "#", row[position].lower()) for row in levels}) == 1


def _likely_device(levels: list[str], without: int | None = None) -> int:
    free = [position for position in range(len(levels)) if position != without] or [0]
    named = [position for position in free if not (is_plain_leaf(levels[position]) or names_quantity(levels[position]))]
    numbered = [position for position in named if re.search(r"\d", levels[position])]
    if numbered:
        return numbered[-1]
    return named[-1] if named else free[0]


def _quantity_level(levels: list[str]) -> int | None:
    if len(levels) == 1:
        return None
    named = [position for position, level in enumerate(levels) if names_quantity(level)]
    return named[-1] if named else len(levels) - 1


def _json_group(levels: list[list[str]], device: int, anything: Sequence[int] = ()) -> TopicGroup:
    named = ["+" if position in anything else level for position, level in enumerate(levels[0])]
    named[device] = "{device}"
    return TopicGroup("/".join(named), ["/".join(row) for row in levels])


def _split(levels: list[list[str]], position: int, again: object) -> list[TopicGroup]:
    """Each value of one level on its own; where there are too many, the whole tail names the device."""
    parts: dict[str, list[str]] = {}
    for row in levels:
        parts.setdefault(row[position], []).append("/".join(row))
    if len(parts) > _MAX_SPLIT and position > 0 and again is group_json:
        prefix = "/".join(levels[0][:position])
        return [TopicGroup(f"{prefix}/{{device+}}", ["/".join(row) for row in levels])]
    find = group_json if again is group_json else group_scalars
    return [group for part in list(parts.values())[:_MAX_SPLIT] for group in find(part)]
