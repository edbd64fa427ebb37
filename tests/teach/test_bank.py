import itertools

from marsnb.teach import bank


def test_entries_are_the_last_images_that_showed_the_class() -> None:
    course = bank.watch(seed=1)
    assert [snapshot.step for snapshot in course] == list(range(1, bank.SHOWN[-1] + 1))
    soil = course[-1].entries[0]  # in every image
    assert soil == tuple(range(bank.SHOWN[-1] - bank.LENGTH + 1, bank.SHOWN[-1] + 1))
    for before, after in itertools.pairwise(course):
        for old, new in zip(before.entries, after.entries, strict=True):
            assert new == old or new == (*old, after.step)[-bank.LENGTH :]
    for snapshot in course:
        for entries, mean in zip(snapshot.entries, snapshot.prototypes, strict=True):
            assert (mean is None) == (not entries)
            assert mean is None or abs(mean - sum(entries) / len(entries)) < 1e-5


def test_a_rare_class_is_older_and_the_words_follow() -> None:
    course = bank.watch()
    oldest = [course[-1].step - entries[0] for entries in course[-1].entries if entries]
    assert oldest[0] == bank.LENGTH - 1 and max(oldest) > oldest[0]
    last = bank.Snapshot(5, ((2, 3, 4, 5), (1,), (), (5,)), (3.5, 1.0, None, 5.0))
    text = bank.sentences([last])
    assert "*soil*: full, its oldest entry 3 steps old, prototype 3.5" in text
    assert "*sand* was in none of the 5 images" in text and "*bedrock*: 1 of 4 entries" in text
    shown = bank.Snapshot(bank.SHOWN[0], last.entries, last.prototypes)
    texts = [text.get_text() for ax in bank.picture([shown]).axes for text in ax.texts]
    assert texts == ["2", "3", "4", "5", "3.5", "1", "1", "none", "5", "5"]
