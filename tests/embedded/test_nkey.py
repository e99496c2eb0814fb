import stat
from pathlib import Path

import nkeys
import pytest

from magi.embedded.errors import EmbeddedError
from magi.embedded.nkey import check_public_key, generate, kept, public_key


def test_a_new_key_is_a_users_and_its_seed_gives_the_same_public_key() -> None:
    public, seed = generate()
    assert public.startswith("U")
    assert seed.startswith("SU")
    assert public_key(seed) == check_public_key(public) == public


def test_two_keys_differ() -> None:
    assert generate() != generate()


@pytest.mark.parametrize("text", ["", "SUAB", "no seed", "ü"])
def test_what_is_no_seed_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError) as refused:
        public_key(text)
    assert not text or text not in str(refused.value)


def test_a_public_key_is_no_seed() -> None:
    public, _ = generate()
    with pytest.raises(ValueError) as refused:
        public_key(public)
    assert public not in str(refused.value)


def test_an_accounts_seed_is_no_users() -> None:
    with pytest.raises(ValueError):
        public_key(nkeys.encode_seed(b"x" * 32, nkeys.PREFIX_BYTE_ACCOUNT).decode())


@pytest.mark.parametrize("text", ["", "U", "U" + "a" * 55, 'U" ' + "A" * 53, "A" * 56, "U" + "A" * 55 + "\n"])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        check_public_key(text)


def test_a_key_is_made_once_and_kept_for_this_user_only(tmp_path: Path) -> None:
    file = tmp_path / "seed"
    public = kept(file)
    assert kept(file) == public == public_key(file.read_text().strip())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_seed_file_that_holds_no_seed_is_named(tmp_path: Path) -> None:
    (tmp_path / "seed").write_text("gone")
    with pytest.raises(EmbeddedError, match=r"seed: not the seed of an nkey.*remove it"):
        kept(tmp_path / "seed")
