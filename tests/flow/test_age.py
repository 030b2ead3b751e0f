"""Keys with their dates, through the real flows (K14)."""

from keyturn.core.age import AgeState
from keyturn.flow import age as age_flow
from keyturn.flow.age import AgedKey
from keyturn.ports.page import Page
from tests.flow.customer import DAY, kind
from tests.world import World, sure


def test_k14_r31_a_key_tells_its_age_by_the_policy_in_force(here: World) -> None:
    own = here.policy(max_age="30d", on_max_age="suspend")
    account = here.account(policy=here.policy(max_age="60d", on_max_age="remind"))
    owner = here.user(account)
    person, stranger = here.sign_in(owner), here.sign_in(here.user(here.account()))
    plain = here.key(account_id=account.id, owner_id=owner.id).key
    strict = here.key(account_id=account.id, owner_id=owner.id, policy=own).key
    here.clock.advance(29 * DAY)

    def shown(key_id: str) -> AgedKey:
        return sure(here.store.read(lambda tx: age_flow.show(tx, actor=person, key_id=key_id)))

    assert (shown(plain.id).age.state, shown(strict.id).age.state) == (AgeState.FRESH, AgeState.DUE_SOON)
    assert shown(strict.id).age.policy == own
    assert [(one.what, one.policy, one.field) for one in shown(strict.id).coming] == [("suspend", own, "max_age")]
    page = Page(size=10)
    listed = here.store.read(lambda tx: age_flow.listing(tx, actor=person, account_id=None, owner_id=None, page=page))
    assert list(sure(listed)) == [shown(strict.id), shown(plain.id)]
    assert kind(here.store.read(lambda tx: age_flow.show(tx, actor=stranger, key_id=plain.id))) == "not_found"
    foreign = here.store.read(
        lambda tx: age_flow.listing(tx, actor=stranger, account_id=account.id, owner_id=None, page=page)
    )
    assert kind(foreign) == "not_found"
