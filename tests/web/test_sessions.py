"""Sessions by the page: which there are, and how they end."""

from keyturn.web.agent import named as named_agent
from tests.web.house import PASSPHRASE, House

PATH = "/account/sessions"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def test_one_s_own_sessions_are_listed_and_this_one_is_marked(house: House) -> None:
    _, email = house.user()
    here, there = house.person(agent=FIREFOX, address="127.200.0.1"), house.person(agent="curl/8")
    for one in (here, there):
        one.sign_in(email, PASSPHRASE)
    page = here.see(PATH)
    assert "Firefox on Linux this one" in page.text
    assert "curl/8" in page.text
    assert page.text.count("this one") == 1
    assert "127.200.0.1" in page.text


def test_one_session_is_ended_and_all_others_are(house: House) -> None:
    _, email = house.user()
    here, *others = people = [house.person(agent=f"program/{number}") for number in range(4)]
    for one in people:
        one.sign_in(email, PASSPHRASE)
    page = here.see(PATH)
    labels = [one for one in page.forms if one.action == f"{PATH}/end"]
    assert len(labels) == 4
    page = here.post(f"{PATH}/end", labels[1].fields)
    assert len([one for one in page.forms if one.action == f"{PATH}/end"]) == 3
    assert [one.see("/keys").path for one in others].count("/") == 1
    page = here.submit(f"{PATH}/end-others", at=PATH)
    assert page.path.startswith(PATH)
    assert {one.see("/keys").path for one in others} == {"/"}
    assert not page.has_form(f"{PATH}/end-others")
    assert here.submit(f"{PATH}/end").path.startswith("/?done=signed_out")
    assert here.see("/keys").path == "/"


def test_somebody_else_s_session_is_not_found(house: House) -> None:
    one, other = house.signed_in(), house.signed_in()
    theirs = one.see(PATH).form(f"{PATH}/end").fields["session"]
    other.see(PATH)
    assert other.post(f"{PATH}/end", {"csrf": other.csrf, "session": theirs}).status == 404
    assert one.see("/keys").path == "/keys"


def test_a_program_is_called_what_people_call_it() -> None:
    windows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) (KHTML, like Gecko) Chrome/140.0 Safari/537.36"
    for agent, named in {
        windows: ("Chrome", "Windows"),
        f"{windows} Edg/140.0": ("Edge", "Windows"),
        f"{windows} OPR/120.0": ("Opera", "Windows"),
        FIREFOX: ("Firefox", "Linux"),
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1": ("Safari", "iPhone"),
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_0) Version/18.0 Safari/605.1": ("Safari", "macOS"),
        "Mozilla/5.0 (Linux; Android 15) Chrome/140.0 Mobile Safari/537.36": ("Chrome", "Android"),
        "curl/8.5": ("curl/8.5", ""),
        "not Firefox/1 at all": ("not Firefox/1 at all", ""),
        "": ("", ""),
    }.items():
        assert named_agent(agent) == named, agent
