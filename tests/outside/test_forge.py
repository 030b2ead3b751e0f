"""Secrets that are worked out go on after the peppers were rotated, and nothing new rests on an old pepper (R3)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keyturn.core.authenticator import Purpose, Shown
from keyturn.core.secret import Pepper
from keyturn.flow import authenticator
from keyturn.outside.authenticators import SystemAuthenticators
from keyturn.outside.forge import SystemForge, load_peppers, token_digest
from tests.flow.test_session import with_app
from tests.world import BASE_URL, World, world

OLD, NEW = Pepper("p0001", b"o" * 32), Pepper("p0002", b"n" * 32)


def test_what_was_derived_is_known_again_under_its_own_pepper() -> None:
    before, after = SystemForge(OLD), SystemForge(NEW, OLD)
    for prefix in ("lnk", "aut", "whk"):
        old, new = before.id(prefix), after.id(prefix)
        assert (old.rpartition("_")[2], new.rpartition("_")[2]) == ("p0001", "p0002")
        for name in (old, f"{old} 2"):
            assert after.derived("x", name) == before.derived("x", name)
        assert after.derived("x", new) == SystemForge(NEW).derived("x", new) != before.derived("x", new)
    link = before.id("lnk")
    text, digest = after.link_token(link)
    assert (text, digest) == before.link_token(link)
    assert token_digest(text) == digest
    assert len(before.id("lnk")) <= 64


def test_what_names_no_pepper_rests_on_the_newest() -> None:
    after = SystemForge(NEW, OLD)
    for name in ("altcha", "usr_1\nCODE", "a@example.com", "lnk_1_p0003"):
        assert after.derived("x", name) == SystemForge(NEW).derived("x", name)
        assert after.derived_by_each("x", name) == [SystemForge(one).derived("x", name) for one in (NEW, OLD)]
    assert after.id("key").count("_") == 1


def test_a_pepper_s_name_can_stand_in_an_id(tmp_path: Path) -> None:
    assert [one.name for one in load_peppers(tmp_path)] == ["p0001"]
    (tmp_path / "peppers" / "p0002").write_text("ab" * 32)
    assert [one.name for one in load_peppers(tmp_path)] == ["p0002", "p0001"]
    (tmp_path / "peppers" / "p_3").write_text("ab" * 32)
    with pytest.raises(ValueError, match="name of a pepper"):
        load_peppers(tmp_path)


@pytest.fixture
def here(database_url: str) -> Iterator[World]:
    with world(database_url) as made:
        yield made


def test_second_factors_enrolled_before_a_rotation_go_on_after_it(here: World) -> None:
    user = here.user(here.account())
    code = with_app(here, user)
    codes = [one.reveal for one in here.authenticators.new_recovery_codes()]
    digests = [here.authenticators.recovery_digest(user.id, one) for one in codes]
    here.store.change(lambda tx: tx.put_recovery_codes(user.id, digests))
    pepper = here.forge._pepper

    def check(kind: str, shown: str, forge: SystemForge) -> bool:
        answer = here.store.change(
            lambda tx: authenticator.check(
                tx,
                user_id=user.id,
                shown=Shown(kind=kind, code=shown),
                session="",
                authenticators=SystemAuthenticators(forge, base_url=BASE_URL),
                purpose=Purpose.SIGN_IN,
            )
        )
        return answer == kind

    rotated, lost = SystemForge(NEW, pepper), SystemForge(NEW)
    assert not check("totp", code(), lost)  # without its pepper a secret is another one
    assert not check("recovery_code", codes[0], lost)
    assert check("totp", code(), rotated)
    assert check("recovery_code", codes[0], rotated)
    assert not check("recovery_code", codes[0], rotated)
