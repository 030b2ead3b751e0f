"""A browser without a script, over real HTTP: it keeps cookies, stands on a page, and sends the forms on that page."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final, Self

import httpx2

_GIVES_NOTHING: Final = frozenset({"submit", "button", "reset", "image"})


@dataclass
class Form:
    """One form as it stands on the page."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    """Every field, also those that would send nothing as they stand."""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self._form: Form | None = None
        self._area = ""
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        had = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = Form(had.get("action", ""), had.get("method", "get"))
            self.forms.append(self._form)
        if tag == "a":
            self.links.append(had.get("href", ""))
        if self._form is not None and (name := had.get("name")):
            self._field(self._form, tag, name, had)
        if tag == "option" and self._form is not None and self._select and "selected" in had:
            self._form.fields[self._select] = had.get("value", "")

    def _field(self, form: Form, tag: str, name: str, had: Mapping[str, str]) -> None:
        form.names.add(name)
        kind = had.get("type", "text")
        if tag == "select":
            self._select = name
        if tag == "textarea":
            self._area, form.fields[name] = name, ""
        if tag == "input" and kind not in _GIVES_NOTHING and (kind not in ("radio", "checkbox") or "checked" in had):
            form.fields[name] = had.get("value", "on" if kind == "checkbox" else "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        if tag == "textarea":
            self._area = ""
        if tag == "select":
            self._select = ""

    def handle_data(self, data: str) -> None:
        if self._area and self._form is not None:
            self._form.fields[self._area] += data
        else:
            self.words.append(data)


@dataclass(frozen=True)
class Page:
    """A page that was answered."""

    path: str
    status: int
    headers: Mapping[str, str]
    html: str
    forms: tuple[Form, ...]
    links: tuple[str, ...]
    text: str

    @classmethod
    def of(cls, answer: httpx2.Response) -> Self:
        """The page in this answer."""
        reader = _Reader()
        reader.feed(answer.text)
        text = " ".join(" ".join(reader.words).split())
        path = answer.request.url.raw_path.decode()
        return cls(
            path, answer.status_code, answer.headers, answer.text, tuple(reader.forms), tuple(reader.links), text
        )

    def form(self, action: str) -> Form:
        """The form on this page that goes there; one that posts before one that asks."""
        found = sorted((one for one in self.forms if one.action == action), key=lambda one: one.method != "post")
        assert found, f"no form to {action} on {self.path}, only {[one.action for one in self.forms]}: {self.text}"
        return found[0]

    def has_form(self, action: str) -> bool:
        """Whether there is one."""
        return any(one.action == action for one in self.forms)


class Person:
    """Somebody at a browser of their own, at an address of the loopback network that is theirs too."""

    def __init__(
        self, url: str, *, address: str, agent: str = "test-browser/1.0", language: str = "en", keeps: bool = True
    ) -> None:
        headers = {"user-agent": agent, "accept-language": language, "accept": "text/html"}
        transport = httpx2.HTTPTransport(local_address=address)
        self.client = httpx2.Client(base_url=url, headers=headers, timeout=30, transport=transport)
        self._keeps = keeps
        self.page = Page("", 0, {}, "", (), (), "")

    def see(self, path: str, **headers: str) -> Page:
        """Open a page, wherever it leads."""
        return self._arrive(self.client.get(path, headers=_named(headers)))

    def submit(self, form: str, /, *, at: str = "", **fields: str) -> Page:
        """Send the form on this page that goes there, with what was typed."""
        if at:
            self.see(at)
        found = self.page.form(form)
        unknown = fields.keys() - found.names
        assert not unknown, f"the form to {form} has no {unknown}"
        return self.post(form, found.fields | fields)

    def post(self, path: str, fields: Mapping[str, str], **headers: str) -> Page:
        """Send that there."""
        return self._arrive(self.client.post(path, data=dict(fields), headers=_named(headers)))

    def sign_in(self, user: str, password: str) -> Page:
        """By the front door."""
        self.see("/")
        return self.submit("/sign-in", user=user, password=password)

    def take(self, token: str) -> None:
        """Have the browser show this session's token from now on."""
        self.client.cookies.clear()
        self.client.cookies.set("keyturn", token, domain="localhost.local")

    @property
    def session(self) -> str:
        """The token of the session, as the browser keeps it."""
        return self.client.cookies.get("keyturn") or ""

    @property
    def csrf(self) -> str:
        """The token that the page's forms carry."""
        return next(one.fields["csrf"] for one in self.page.forms if "csrf" in one.fields)

    def _arrive(self, answer: httpx2.Response) -> Page:
        for _ in range(5):
            if not self._keeps:
                self.client.cookies.clear()
            if answer.status_code != 303:
                break
            answer = self.client.get(answer.headers["location"])
        self.page = Page.of(answer)
        return self.page


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
