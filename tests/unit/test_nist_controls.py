"""The table of controls."""

import pytest

from policy.checks.nist_controls import CONTROLS, looks_like_nist, oscal_id


def test_every_control_has_an_oscal_id_and_a_title() -> None:
    """The ids are those of NIST's own catalog, in lower case with a dot before an enhancement."""
    assert all(looks_like_nist(name) and oscal_id(name) == name and title for name, title in CONTROLS.items())
    assert CONTROLS["ac-5"] == "Separation of Duties"


@pytest.mark.parametrize(
    ("written", "oscal"), [("AC-6(9)", "ac-6.9"), ("AC-06(09)", "ac-6.9"), ("cm-3", "cm-3"), ("AU-10", "au-10")]
)
def test_what_nist_prints_has_an_oscal_id(written: str, oscal: str) -> None:
    """A control that is written as in the printed document is recognised, so that its id can be told."""
    assert looks_like_nist(written)
    assert oscal_id(written) == oscal


@pytest.mark.parametrize("written", ["ISO 27001 A.8.32", "SOC 2 CC8.1", "PCI-DSS 6.5", "ac-6.9.1", ""])
def test_other_frameworks_are_free_text(written: str) -> None:
    """Only what is written as NIST writes it is looked up."""
    assert not looks_like_nist(written)
