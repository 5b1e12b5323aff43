"""Messages of real products, byte for byte: documentation and sources of the named versions, read in November 2026."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from schemas.mapping import Mapping
from signals.block import Block
from signals.codecs import compile_decoder

_MAPPING: TypeAdapter[Any] = TypeAdapter(Mapping)

ZIGBEE = (
    b'{"battery":100,"humidity":53.2,"last_seen":"2019-03-01T15:32:45.941Z","linkquality":120,'
    b'"pressure":1013,"temperature":21.37}'
)
TASMOTA_BME280 = (
    b'{"Time":"2019-11-03T19:34:28","BME280":{"Temperature":21.7,"Humidity":66.6,"Pressure":988.6},'
    b'"PressureUnit":"hPa","TempUnit":"C"}'
)
TASMOTA_MPU6050 = (
    b'{"Time":"2019-12-10T19:37:50","MPU6050":{"Temperature":27.7,"AccelXAxis":-7568.00,"AccelYAxis":-776.00,'
    b'"AccelZAxis":12812.00,"GyroXAxis":270.00,"GyroYAxis":-741.00,"GyroZAxis":700.00},"TempUnit":"C"}'
)
SHELLY = (
    b'{"src":"shellyplusht-b8d61a8b17cc","dst":"shellyplusht-b8d61a8b17cc/events","method":"NotifyFullStatus",'
    b'"params":{"ts":1680962879.62,"devicepower:0":{"id":0,"battery":{"V":0.43,"percent":0},"external":{"present":true}},'
    b'"humidity:0":{"id":0,"rh":42.2},"temperature:0":{"id":0,"tC":19.8,"tF":67.6}}}'
)
THE_THINGS_STACK = b"""\
{"end_device_ids":{"device_id":"dev1","application_ids":{"application_id":"app1"},"dev_eui":"0004A30B001C0530","join_eui":"800000000000000C","dev_addr":"00BCB929"},
 "correlation_ids":["as:up:01E0WZGT6Y7657CPFPE5WEYDSQ"],"received_at":"2020-02-12T15:15:46.014773143Z",
 "uplink_message":{"session_key_id":"AXA50tHUGUucuzS/bCGMNw==","f_cnt":1,"f_port":1,"frm_payload":"gkHe","decoded_payload":{"temperature":1.0,"luminosity":0.64},
  "rx_metadata":[{"gateway_ids":{"gateway_id":"gtw1","eui":"9C5C8E00001A05C4"},"time":"2020-02-12T15:15:45.787Z","rssi":-35,"snr":5}],
  "settings":{"data_rate":{"lora":{"bandwidth":125000,"spreading_factor":7}},"coding_rate":"4/6","frequency":"868300000"},"received_at":"2020-02-12T15:15:45.789585559Z"}}
"""
CHIRPSTACK = b"""\
{"deduplicationId":"3ac7e3c4-4401-4b8d-9386-a5c902f9202d","time":"2022-07-18T09:34:15.775023242+00:00",
 "deviceInfo":{"tenantId":"52f14cd4-c6f1-4fbd-8f87-4025e1d49242","tenantName":"ChirpStack","applicationId":"17c82e96-be03-4f38-aef3-f83d48582d97","applicationName":"Test application","deviceProfileId":"14855bf7-d10d-4aee-b618-ebfcb64dc7ad","deviceProfileName":"Test device-profile","deviceName":"Test device","devEui":"0101010101010101","tags":{"key":"value"}},
 "devAddr":"00189440","dr":1,"fPort":1,"data":"qg==","rxInfo":[{"gatewayId":"0016c001f153a14c","uplinkId":4217106255,"rssi":-36,"snr":10.5,"context":"E3OWOQ==","metadata":{"region_name":"eu868","region_common_name":"EU868"}}],
 "txInfo":{"frequency":867100000,"modulation":{"lora":{"bandwidth":125000,"spreadingFactor":11,"codeRate":"CR_4_5"}}}}
"""  # noqa: E501 - as it came
# With a codec ChirpStack adds the decoded values as `object`; the fixture of the documentation has none.
CHIRPSTACK_WITH_CODEC = CHIRPSTACK.replace(
    b'"data":"qg==",', b'"data":"qg==","object":{"climate":{"temperature":21.5}},'
)
OPC_UA = b"""\
{"MessageId":"9279c0b3-da88-45a4-af74-451cebf82db0","MessageType":"ua-data","PublisherId":"MyPublisher","Messages":[
 {"DataSetWriterId":101,"SequenceNumber":68468,"MinorVersion":672341762,"Timestamp":"2021-09-27T18:45:19.555Z",
  "Payload":{"Active":true,"Temperature":25.5,"Counter":0,"AdditionalInfo":"The system is running normally (1)"}},
 {"DataSetWriterId":102,"SequenceNumber":25460,"MinorVersion":672341762,"Timestamp":"2021-09-27T18:45:19.555Z","Status":{"Code":1073741824},
  "Payload":{"LocationName":"Building A","Coordinate":{"X":0,"Y":0.2},"Measurements":[20030,20020,20010]}}]}
"""
OPC_UA_MINIMAL = b'{"Active":true,"Temperature":25.5,"Counter":0,"AdditionalInfo":"..."}'

CHIRPSTACK_TOPIC = "application/17c82e96-be03-4f38-aef3-f83d48582d97/device/0101010101010101/event/up"


def _decode(mapping: dict[str, Any], template: str, channels: list[str], topic: str, payload: bytes) -> Block:
    (block,) = compile_decoder(_MAPPING.validate_python(mapping), [template], channels, 1.0).decode(topic, payload)
    return block


JSON_SAMPLES = {
    "zigbee2mqtt, documentation": (
        {"channels": {"temperature": "temperature", "humidity": "humidity"}},
        ("zigbee2mqtt/{device+}", "zigbee2mqtt/FRIENDLY_NAME", b'{"temperature":27.34,"humidity":44.72}'),
        ("FRIENDLY_NAME", {"temperature": [27.34], "humidity": [44.72]}, None),
    ),
    "zigbee2mqtt, test suite": (
        {"channels": {"temperature": "temperature", "pressure": "pressure"}},
        ("zigbee2mqtt/{device+}", "zigbee2mqtt/weather_sensor", b'{"temperature":0.08,"humidity":0.01,"pressure":2}'),
        ("weather_sensor", {"temperature": [0.08], "pressure": [2.0]}, None),
    ),
    "zigbee2mqtt, last_seen and a slash in the friendly name": (
        {"channels": {"temperature": "temperature", "pressure": "$.pressure"}, "time": {"path": "last_seen"}},
        ("zigbee2mqtt/{device+}", "zigbee2mqtt/attic/north", ZIGBEE),
        ("attic/north", {"temperature": [21.37], "pressure": [1013.0]}, 1551454365941000000),
    ),
    "tasmota BME280, local time with a named zone": (
        {
            "channels": {"temperature": "BME280.Temperature", "humidity": "BME280.Humidity"},
            "time": {"path": "Time", "zone": "Europe/Berlin"},
        },
        ("tele/{device}/SENSOR", "tele/tasmota/SENSOR", TASMOTA_BME280),
        ("tasmota", {"temperature": [21.7], "humidity": [66.6]}, 1572806068000000000),
    ),
    "tasmota MPU6050": (
        {"channels": {"acc_x": "MPU6050.AccelXAxis", "acc_z": "MPU6050.AccelZAxis", "gyro_y": "MPU6050.GyroYAxis"}},
        ("tele/{device}/SENSOR", "tele/tasmota/SENSOR", TASMOTA_MPU6050),
        ("tasmota", {"acc_x": [-7568.0], "acc_z": [12812.0], "gyro_y": [-741.0]}, None),
    ),
    "shelly": (
        {
            "channels": {"temperature": "params.temperature:0.tC", "humidity": 'params["humidity:0"].rh'},
            "device": "src",
            "time": {"path": "params.ts", "unit": "s"},
        },
        ("+/events/rpc", "shellyplusht-b8d61a8b17cc/events/rpc", SHELLY),
        ("shellyplusht-b8d61a8b17cc", {"temperature": [19.8], "humidity": [42.2]}, 1680962879620000000),
    ),
    "shelly, single component": (
        {"channels": {"temperature": "tC"}},
        (
            "{device}/status/temperature:0",
            "shellyplusht-b8d61a8b17cc/status/temperature:0",
            b'{"id":0,"tC":19.8,"tF":67.6}',
        ),
        ("shellyplusht-b8d61a8b17cc", {"temperature": [19.8]}, None),
    ),
    "the things stack": (
        {
            "channels": {
                "temperature": "uplink_message.decoded_payload.temperature",
                "luminosity": "uplink_message.decoded_payload.luminosity",
                "rssi": "uplink_message.rx_metadata[0].rssi",
            },
            "device": "end_device_ids.device_id",
            "time": {"path": "received_at"},
        },
        ("v3/+/devices/+/up", "v3/app1@tenant1/devices/dev1/up", THE_THINGS_STACK),
        ("dev1", {"temperature": [1.0], "luminosity": [0.64], "rssi": [-35.0]}, 1581520546014773143),
    ),
    "chirpstack, no codec": (
        {"channels": {"rssi": "rxInfo[0].rssi", "snr": "rxInfo[0].snr"}, "time": {"path": "time"}},
        ("application/+/device/{device}/event/up", CHIRPSTACK_TOPIC, CHIRPSTACK),
        ("0101010101010101", {"rssi": [-36.0], "snr": [10.5]}, 1658136855775023242),
    ),
    "chirpstack, decoded object": (
        {"channels": {"temperature": "object.climate.temperature"}, "device": "deviceInfo.devEui"},
        ("application/#", CHIRPSTACK_TOPIC, CHIRPSTACK_WITH_CODEC),
        ("0101010101010101", {"temperature": [21.5]}, None),
    ),
    "opc ua, first data set": (
        {
            "channels": {"active": "Messages[0].Payload.Active", "temperature": "Messages[0].Payload.Temperature"},
            "device": "PublisherId",
            "time": {"path": "Messages[0].Timestamp"},
        },
        ("opcua/json/data/#", "opcua/json/data/p/g/101", OPC_UA),
        ("MyPublisher", {"active": [1.0], "temperature": [25.5]}, 1632768319555000000),
    ),
    "opc ua, a batch in the second data set": (
        {
            "channels": {"measurement": "Messages[1].Payload.Measurements"},
            "device": "Messages[1].DataSetWriterId",
            "time": {"path": "Messages[1].Timestamp", "of": "last"},
            "sampling_rate_hz": 10.0,
        },
        ("opcua/#", "opcua/json/data/p/g/102", OPC_UA),
        ("102", {"measurement": [20030.0, 20020.0, 20010.0]}, 1632768319355000000),
    ),
    "opc ua, minimal layout": (
        {"channels": {"temperature": "Temperature", "active": "Active"}},
        ("opcua/{device}", "opcua/boiler", OPC_UA_MINIMAL),
        ("boiler", {"temperature": [25.5], "active": [1.0]}, None),
    ),
}


@pytest.mark.parametrize(("mapping", "message", "expected"), JSON_SAMPLES.values(), ids=JSON_SAMPLES)
def test_json_of_a_real_product_is_read_by_a_mapping(
    mapping: dict[str, Any],
    message: tuple[str, str, bytes],
    expected: tuple[str, dict[str, list[float]], int | None],
) -> None:
    device, values, t0_ns = expected
    template, topic, payload = message
    block = _decode({"format": "json", **mapping}, template, list(values), topic, payload)
    assert block.device == device
    assert block.channels == tuple(range(len(values)))
    assert block.values.tolist() == [pytest.approx(row, rel=1e-6) for row in values.values()]
    assert block.t0_ns == t0_ns
    assert block.t_ns is None


@pytest.mark.parametrize(
    ("topic", "payload", "channel", "value"),
    [
        ("livingroom/sensor/pump_vibration/state", b"1.25", 0, 1.25),
        ("livingroom/binary_sensor/door/state", b"ON", 1, 1.0),
        ("livingroom/binary_sensor/door/state", b"OFF", 1, 0.0),
        ("livingroom/sensor/pump_vibration/state", b" -.5e1\n", 0, -5.0),
    ],
)
def test_esphome_state_is_one_number_of_the_channel_in_its_topic(
    topic: str, payload: bytes, channel: int, value: float
) -> None:
    mapping = {
        "format": "scalar",
        "channels": {"vibration": "pump_vibration", "door": "door"},
        "values": {"ON": 1, "OFF": 0},
    }
    block = _decode(mapping, "{device}/+/{channel}/state", ["vibration", "door"], topic, payload)
    assert (block.device, block.channels, block.values.tolist()) == ("livingroom", (channel,), [[value]])
    assert (block.t0_ns, block.t_ns, block.rate_hz) == (None, None, None)


def test_zigbee2mqtt_attribute_output_is_one_number_a_topic() -> None:
    topic = "zigbee2mqtt/weather_sensor/temperature"
    block = _decode({"format": "scalar"}, "zigbee2mqtt/{device}/{channel}", ["temperature"], topic, b"21.37")
    assert block.device == "weather_sensor"
    assert block.values[0, 0] == pytest.approx(21.37)


def _int16(*names: str, scale: float = 1.0) -> list[dict[str, Any]]:
    return [{"name": name, "type": "int16", "scale": scale} for name in names]


_BMI270 = [
    *_int16("gyr_x", "gyr_y", "gyr_z", scale=2000 / 32768),
    *_int16("acc_x", "acc_y", "acc_z", scale=2 / 32768),
]
BINARY_FRAMES: dict[str, tuple[dict[str, Any], str, dict[str, float]]] = {
    "Bosch BMI270 FIFO frame, gyroscope first": (
        {"magic": "8c", "fields": _BMI270},
        "8c 0a00ecff0500 00400000f0ff",
        {"acc_x": 1.0, "acc_y": 0.0, "acc_z": -0.0009765625, "gyr_x": 0.610351, "gyr_y": -1.220703, "gyr_z": 0.305175},
    ),
    "ST LSM6DSOX FIFO word, accelerometer": (
        {"magic": "11", "fields": _int16("x", "y", "z", scale=0.061e-3)},
        "11 00400000f0ff",
        {"x": 0.999424, "y": 0.0, "z": -0.000976},
    ),
    "ST BlueST notification": (
        {"header": [{"name": "tick", "type": "uint16"}], "fields": _int16("x", "y", "z", scale=1e-3)},
        "e803 e803000018fc",
        {"x": 1.0, "y": 0.0, "z": -1.0},
    ),
    "RuuviTag RAWv2": (
        {
            "magic": "05",
            "endian": "big",
            "fields": [
                {"name": "temperature", "type": "int16", "scale": 0.005, "unit": "Cel", "not_available": -0x8000},
                {"name": "humidity", "type": "uint16", "scale": 0.0025, "unit": "%RH", "not_available": 0xFFFF},
                {"name": "pressure", "type": "uint16", "offset": 50000, "unit": "Pa", "not_available": 0xFFFF},
                *({"name": f"acc_{axis}", "type": "int16", "scale": 1e-3, "not_available": -0x8000} for axis in "xyz"),
                {"name": "_power", "type": "uint16"},
                {"name": "movements", "type": "uint8", "not_available": 0xFF},
                {"name": "sequence", "type": "uint16", "not_available": 0xFFFF},
                {"name": "_mac", "type": "int24"},
                {"name": "_mac", "type": "int24"},
            ],
        },
        "0512FC5394C37C0004FFFC040CAC364200CDCBB8334C884F",
        {
            "temperature": 24.3, "humidity": 53.49, "pressure": 100044.0, "acc_x": 0.004, "acc_y": -0.004,
            "acc_z": 1.036, "movements": 66.0, "sequence": 205.0,
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize(("mapping", "frame", "expected"), BINARY_FRAMES.values(), ids=BINARY_FRAMES)
def test_frame_of_a_real_sensor_is_read_by_a_mapping(
    mapping: dict[str, Any], frame: str, expected: dict[str, float]
) -> None:
    block = _decode({"format": "binary", **mapping}, "raw/{device}", list(expected), "raw/a", bytes.fromhex(frame))
    assert block.channels == tuple(range(len(expected)))
    assert block.values.tolist() == [[pytest.approx(value, rel=1e-5, abs=1e-9)] for value in expected.values()]


def test_ruuvi_value_that_is_not_available_leaves_its_channel_out() -> None:
    mapping, frame, expected = BINARY_FRAMES["RuuviTag RAWv2"]
    without_humidity = bytes.fromhex(frame.replace("5394", "FFFF"))
    block = _decode({"format": "binary", **mapping}, "raw/{device}", list(expected), "raw/a", without_humidity)
    assert block.channels == (0, 2, 3, 4, 5, 6, 7)
    assert block.values[:2, 0].tolist() == pytest.approx([24.3, 100044.0])


def test_bmi270_fifo_of_two_frames_is_a_batch_of_two() -> None:
    mapping = {"format": "binary", "fields": [{"name": "_tag", "type": "uint8"}, *_BMI270]}
    fifo = bytes.fromhex("8c 0a00ecff0500 00400000f0ff" * 2)
    block = _decode(mapping, "raw/{device}", ["acc_x", "acc_z"], "raw/a", fifo)
    assert block.values.tolist() == [[1.0, 1.0], [-16 * 2 / 32768] * 2]
