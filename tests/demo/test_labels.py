from demo.labels import LabelBook, filters_for
from demo.wire import Received
from schemas import LabelEvent, TopicTemplate, topic_for
from tests.demo.test_score import event


def label(one: LabelEvent, *, retained: bool = False, at_ns: int = 0) -> Received:
    topic = topic_for("label", gateway=one.gateway, device=one.device)
    return Received(topic, one.model_dump_json(by_alias=True).encode(), retained, at_ns)


def test_a_label_is_entered_once_with_its_first_arrival() -> None:
    book = LabelBook()
    book.take([label(event(0, 0.9), at_ns=5), label(event(0, 0.9), at_ns=9), label(event(1, 0.9), at_ns=7)])
    assert [arrival.at_ns for arrival in book.arrivals.values()] == [5, 7]
    assert book.n_repeated == 1
    assert book.contradictions == []
    assert len(book.ids("gw")) == 2
    assert book.ids("another") == set()


def test_another_answer_for_the_same_window_is_a_contradiction() -> None:
    book = LabelBook()
    book.take([label(event(0, 0.9)), label(event(0, 0.2))])
    assert book.contradictions == [event(0, 0.9).id]


def test_the_answer_of_an_earlier_run_does_not_count() -> None:
    book = LabelBook()
    book.take([label(event(0, 0.9), retained=True)])
    assert book.arrivals == {}


def test_the_newest_answer_is_that_of_the_highest_window_that_has_one() -> None:
    book = LabelBook()
    book.take([label(event(3, 0.9)), label(event(2, 0.1)), label(event(4, present=0.1))])
    assert book.newest["gw", "pump-01"].window.index == 3


def test_what_is_no_label_is_a_problem_and_not_a_crash() -> None:
    book = LabelBook()
    book.take(
        [Received("telltale/v1/gw/pump-01/label", b"{}", False, 0), Received("telltale/v1/gw/a/gap", b"x", False, 0)]
    )
    assert len(book.problems) == 2
    book.take([Received("telltale/v1/gw/availability", b'{"state":"online"}', True, 0)])
    assert book.states == {"gw": "online"}


def test_the_demo_listens_to_every_label_of_its_gateways() -> None:
    topics = [topic_for("label", gateway="gw", device="d"), topic_for("availability", gateway="gw")]
    for topic in topics:
        assert any(TopicTemplate(one).match(topic) is not None for one in filters_for(["gw"]))
    assert not any(TopicTemplate(one).match(topics[0]) is not None for one in filters_for(["other"]))
