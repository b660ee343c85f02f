import pytest

from app.seals import CannotOpen, Seals
from app.settings import SettingError

OLD, NEW = b"o" * 32, b"n" * 40
SECRET = "geheim ü κλειδί"  # noqa: S105 - the test's own


def test_what_was_sealed_is_opened_and_reads_as_nothing_before() -> None:
    seals = Seals([NEW])
    sealed = seals.seal(SECRET)
    assert seals.open(sealed) == SECRET
    assert SECRET not in sealed
    assert seals.seal(SECRET) != sealed


def test_the_first_key_seals_and_all_open() -> None:
    sealed = Seals([OLD]).seal(SECRET)
    assert Seals([NEW, OLD]).open(sealed) == SECRET
    assert Seals([NEW]).open(Seals([NEW, OLD]).seal(SECRET)) == SECRET


@pytest.mark.parametrize("keys", [[], [NEW]], ids=["no key", "another key"])
def test_without_the_key_it_stays_sealed_and_the_error_says_what_is_missing(
    keys: list[bytes],
) -> None:
    sealed = Seals([OLD]).seal(SECRET)
    with pytest.raises(CannotOpen) as caught:
        Seals(keys).open(sealed)
    assert str(caught.value) == "DOCYARD_SECRET_KEYS does not hold the key that sealed it"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("place", [0, 20, -3])
def test_a_seal_that_was_changed_is_not_opened(place: int) -> None:
    seals = Seals([NEW])
    sealed = list(seals.seal(SECRET))
    sealed[place] = "A" if sealed[place] != "A" else "B"
    with pytest.raises(CannotOpen):
        seals.open("".join(sealed))


def test_without_keys_nothing_is_sealed() -> None:
    with pytest.raises(SettingError, match="DOCYARD_SECRET_KEYS is not set"):
        Seals([]).seal(SECRET)
