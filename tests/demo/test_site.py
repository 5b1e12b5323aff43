from demo.plant import Site, pump_names, room_names
from demo.plant.messages import parse_truth, truth_message


def test_a_device_sends_the_same_whoever_stands_beside_it() -> None:
    alone = Site(pump_names(2, 1), (), seed=1, start_ns=0)
    crowd = Site(pump_names(1, 3), room_names(1, 2), seed=1, start_ns=0)
    mine = [message for message in crowd.messages(4.0) if message.device == "pump-02"]
    assert mine == list(alone.messages(4.0))


def test_messages_leave_in_order_of_time() -> None:
    due = [message.due_s for message in Site(pump_names(1, 2), room_names(1, 2), seed=1, start_ns=0).messages(4.0)]
    assert due == sorted(due)
    assert len(due) > 60


def test_a_truth_is_read_back_and_nothing_else_is_one() -> None:
    message = truth_message(0.0, "pump-01", 7, "idle")
    assert parse_truth(message.topic, message.payload) == ("pump-01", 7, "idle")
    for payload in (b"", b"[]", b'{"t":true,"state":"idle"}', b'{"t":1.5,"state":"idle"}', b'{"t":1,"state":3}'):
        assert parse_truth(message.topic, payload) is None
    assert parse_truth("plant/pump-01/vibration", message.payload) is None
