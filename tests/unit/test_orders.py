"""By what it is known that the same is asked for again."""

from activities.registering import orders_of
from tests.unit.builders import a_proposal, a_registry, step_json

SET, RESET = step_json(undo=None), step_json("pg.reset", name="reset", undo=None)


def _orders(*steps: object, resolved: tuple[str, ...] = ("one",), target: str = "orders") -> set[str]:
    proposal = a_proposal(operation=steps[0]["operation"], steps=list(steps), target=target)  # type: ignore[index]
    return set(orders_of(proposal, resolved, a_registry().find))


def test_the_same_ids_under_another_name_are_the_same() -> None:
    """A system that is nothing but one database is that database; one that is more has it in it."""
    assert _orders(SET) == _orders(SET, target="system:shop")
    assert _orders(SET) & _orders(SET, resolved=("one", "two"), target="system:shop")
    assert not _orders(SET) & _orders(SET, resolved=("two",))


def test_other_parameters_and_other_operations_are_something_else() -> None:
    """Only what would be done again counts, whatever is done beside it, and in an undo, too."""
    other = {**SET, "parameters": {"name": "work_mem", "value": "9MB"}}
    assert not _orders(SET) & _orders(other)
    assert not _orders(SET) & _orders(RESET)
    assert _orders(SET) & _orders(RESET, SET)
    assert _orders(RESET) & _orders(step_json())


def test_a_target_with_very_many_ids_is_known_by_all_of_them_together() -> None:
    """What is kept of a denial is bounded."""
    many = tuple(f"id-{number:05}" for number in range(5000))
    assert len(_orders(SET, resolved=many)) == 2000
    assert _orders(SET, resolved=many) & _orders(SET, resolved=many[:2])
