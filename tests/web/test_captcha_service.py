"""A CAPTCHA service on the sign-in page: that page is opened to the service, and no other (K2, K8)."""

from collections.abc import Iterator

import pytest

from tests.captcha import SECRET, SiteVerify
from tests.web.house import PASSPHRASE, House, opened

SERVICES = {
    "turnstile": ("https://challenges.cloudflare.com", "cf-turnstile", "cf-turnstile-response"),
    "hcaptcha": ("https://hcaptcha.com", "h-captcha", "h-captcha-response"),
    "recaptcha": ("https://www.google.com/recaptcha/", "g-recaptcha", "g-recaptcha-response"),
}


@pytest.fixture(scope="module")
def service() -> Iterator[SiteVerify]:
    with SiteVerify() as started:
        yield started


@pytest.fixture(scope="module", params=SERVICES)
def served(
    request: pytest.FixtureRequest, service: SiteVerify, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[House, str]]:
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "secret").write_text(SECRET)
    config = folder / "keyturn.toml"
    config.write_text(
        f'captcha_provider = "{request.param}"\ncaptcha_site_key = "site-1"\n'
        f'captcha_secret_file = "{folder / "secret"}"\ncaptcha_verify_url = "{service.endpoint}"\n'
    )
    with opened(folder / "data", flags=("--config", str(config))) as house:
        yield house, request.param


def directives(policy: str) -> dict[str, str]:
    return dict((one.strip() + " ").split(" ", 1) for one in policy.split(";"))


def test_k8_the_page_that_asks_is_opened_to_the_service_alone(served: tuple[House, str], service: SiteVerify) -> None:
    house, provider = served
    origin, css_class, field = SERVICES[provider]
    _, email = house.user()
    person = house.person()
    plain = person.see("/").headers["content-security-policy"]
    assert origin not in plain
    for _ in range(5):
        house.person().sign_in(email, "wrong")
    page = person.sign_in(email, PASSPHRASE)
    before, policy = directives(plain), directives(page.headers["content-security-policy"])
    opened_up = {name for name in policy if policy[name] != before.get(name)}
    assert {"script-src", "frame-src"} <= opened_up <= {"script-src", "frame-src", "style-src", "connect-src"}
    assert all(origin in policy[name] for name in opened_up)
    assert f'class="{css_class}" data-sitekey="site-1"' in page.html
    sent = page.form("/sign-in").fields | {"user": email, "password": PASSPHRASE}
    assert person.post("/sign-in", sent | {field: "made up"}).status == 403
    sent["csrf"] = person.csrf
    assert person.post("/sign-in", sent | {field: service.response()}).path == "/keys"
