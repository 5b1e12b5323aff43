"""Whether a family can be a pipeline: its mapping tried on what was heard, and its channels held against a model."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from pydantic import ValidationError

from edge_agent.config import AgentConfig
from edge_agent.init.family import ChannelFound, Family
from edge_agent.init.products import plain
from schemas import ConfigError, ModelCard
from schemas.mapping import JsonMapping, ScalarMapping
from signals import DecodeError, compile_decoder

_RATE_OFF = 0.2


def try_on_messages(family: Family, gateway: str) -> None:
    """Set ``family.problem`` where its pipeline would not be accepted, or reads none of the messages heard."""
    if family.problem is not None or family.mapping is None or family.plan is None:
        return
    names = [channel.name for channel in family.channels]
    try:
        config = AgentConfig.model_validate(
            {
                "version": 1,
                "gateway": {"id": gateway},
                "pipelines": [
                    {"name": "a", "topics": family.topics, "model": "m.onnx", "mapping": family.mapping.model_dump()}
                ],
            }
        )
        decoder = compile_decoder(family.mapping, family.topics, names, family.plan.sampling_rate_hz)
    except ValidationError as error:
        family.problem = error.errors()[0]["msg"]
        return
    except ConfigError as error:
        family.problem = error.problems[0]
        return
    if own := config.problems():
        family.problem = own[0].partition(": ")[2]
        return
    n_read, n_tried, refused = 0, 0, ""
    for form in family.heard:
        for _, payload in form.heard.live:
            n_tried += 1
            try:
                n_read += bool(decoder.decode(form.heard.topic, payload))
            except DecodeError as error:
                refused = f"{error.reason}: {error.detail}"
    if n_read == 0:
        family.problem = f"none of {n_tried} messages can be read: {refused}"
    else:
        also = f"; the rest is refused, such as {refused}" if refused else ""
        family.notes.insert(0, f"tried: {n_read} of {n_tried} messages heard are read{also}")


def fit_to_model(family: Family, card: ModelCard) -> None:
    """Rename and keep the channels that the model wants; ``family.problem`` names what is missing."""
    if family.problem is not None or family.mapping is None:
        return
    chosen: dict[str, ChannelFound] = {}
    missing = []
    for name in card.channel_names:
        found = _channel_for(name, [channel for channel in family.channels if channel not in chosen.values()])
        if found is None:
            near = difflib.get_close_matches(name, [channel.name for channel in family.channels], n=1)
            missing.append(f"{name} (is it {near[0]}?)" if near else name)
        else:
            chosen[name] = found
    if missing:
        family.problem = f"the model {card.ref} wants channels that are not here: {', '.join(missing)}"
        return
    kept = {name: channel.where for name, channel in chosen.items()}
    if isinstance(family.mapping, JsonMapping):
        family.mapping = family.mapping.model_copy(update={"channels": kept})
    elif isinstance(family.mapping, ScalarMapping):
        has_level = family.mapping.channel is None
        update = {"channels": kept} if has_level else {"channel": card.channel_names[0]}
        family.mapping = family.mapping.model_copy(update=update)
    for name, channel in chosen.items():
        channel.name = name
    wanted = card.sampling_rate_hz
    if wanted is not None and family.rate is not None and card.grid.policy != "hold":
        off = abs(family.rate.hz - wanted) / wanted
        if off > _RATE_OFF:
            family.notes.append(f"the model was fitted at {wanted:g} Hz, this comes at {family.rate.hz:g} Hz")
    family.channels = list(chosen.values())


def _channel_for(name: str, channels: Sequence[ChannelFound]) -> ChannelFound | None:
    """By its name, by the end of its path, by letters and digits alone; None where that is nobody or several."""
    wanted = plain(name)
    for same in (
        [channel for channel in channels if name in {channel.name, channel.where}],
        [channel for channel in channels if wanted in {plain(channel.name), plain(channel.where)}],
        [channel for channel in channels if plain(channel.where).endswith(wanted) and len(wanted) > 2],
    ):
        if len(same) == 1:
            return same[0]
    return None
