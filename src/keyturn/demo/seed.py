"""Who is in the demo: two customers, their people, their programs' keys.  Safe to run on a folder seeded before."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from keyturn.outside import folder
from keyturn.sdk.client import Client

Json = dict[str, Any]
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"
GATEWAY: Final = "demo gateway"
STORY_KEYS: Final = ("payments", "nightly report")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    email: str
    name: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A customer's program: its key, and how it uses it."""

    name: str
    owner: str
    permissions: tuple[str, ...]
    address: str
    wants: str
    environment: str = "live"
    allowlist: tuple[str, ...] = ()
    limit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    account: str
    role: str
    email: str
    password: str


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key with its secret, as its program holds it."""

    program: Program
    id: str
    secret: str

    def __repr__(self) -> str:
        return f"HeldKey({self.id!r}, …)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeded:
    """What the story and the traffic need."""

    account_id: str
    account_name: str
    owner_id: str
    sign_ins: tuple[SignIn, ...]
    keys: tuple[HeldKey, ...]
    gateway_secret: str


MARIA: Final = Person(email="maria@northwind.example", name="Maria Lind", role="owner")
JONAS: Final = Person(email="jonas@northwind.example", name="Jonas Weber", role="member")
AIKO: Final = Person(email="aiko@harborstreet.example", name="Aiko Tanaka", role="owner")
ACCOUNTS: Final = {"Northwind Trading": (MARIA, JONAS), "Harbor Street Capital": (AIKO,)}
PROGRAMS: Final = {
    "Northwind Trading": (
        Program(
            name="order router",
            owner=MARIA.email,
            permissions=("orders:write", "*:read"),
            address="192.0.2.10",
            wants="orders:write",
            limit="1000/1s",
        ),
        Program(
            name="market data",
            owner=JONAS.email,
            permissions=("market:read",),
            address="198.51.100.7",
            wants="market:read",
            allowlist=("198.51.100.0/24",),
        ),
        Program(
            name="chatty poller",
            owner=JONAS.email,
            permissions=("*:read",),
            address="192.0.2.77",
            wants="prices:read",
            limit="2/1s",
        ),
    ),
    "Harbor Street Capital": (
        Program(
            name="rebalancer",
            owner=AIKO.email,
            permissions=("orders:write",),
            address="2001:db8::15",
            wants="orders:write",
            allowlist=("2001:db8::/32",),
        ),
        Program(
            name="back test",
            owner=AIKO.email,
            permissions=("*:read",),
            address="203.0.113.9",
            wants="orders:write",  # more than it holds: refused, as the traffic shows
            environment="test",
        ),
    ),
}


def seed(api: Client) -> Seeded:
    """Make what is missing; give everybody a new password and every program a new key."""
    accounts = {one["name"]: one for one in every(api.list_accounts)}
    users = {one["email"]: one for one in every(api.list_users)}
    operator = api.get_self()
    _revoke_earlier(api, operator["account_id"], {GATEWAY})
    sign_ins: list[SignIn] = []
    keys: list[HeldKey] = []
    for name, people in ACCOUNTS.items():
        account = accounts.get(name) or api.create_account(name)
        # First: a new password asks for a reset of every key its owner still has (K15).
        _revoke_earlier(api, account["id"], {one.name for one in PROGRAMS[name]} | set(STORY_KEYS))
        for person in people:
            users[person.email], password = _person(api, person, account, users.get(person.email))
            sign_ins.append(SignIn(account=name, role=person.role, email=person.email, password=password))
        keys += [_program(api, one, account, users) for one in PROGRAMS[name]]
        accounts[name] = account
    gateway = api.create_key(GATEWAY, permissions=["keyturn.verify"])
    first = next(iter(ACCOUNTS))
    return Seeded(
        account_id=accounts[first]["id"],
        account_name=first,
        owner_id=users[MARIA.email]["id"],
        sign_ins=tuple(sign_ins),
        keys=tuple(keys),
        gateway_secret=gateway["secret"],
    )


def every(listing: Any) -> list[Json]:  # noqa: ANN401  # any listing of the client
    """All items of a listing."""
    page = listing(limit=200)
    items: list[Json] = list(page["items"])
    while page["next_cursor"]:
        page = listing(limit=200, cursor=page["next_cursor"])
        items += page["items"]
    return items


def write_curl_files(data: Path, *, gateway_secret: str, key: str) -> None:
    """What curl reads, so that no secret stands on a command line."""
    folder.replace_secret(data / "gateway.header", f"Authorization: Bearer {gateway_secret}")
    folder.replace_secret(data / "verify.json", json.dumps({"key": key, "permissions": ["orders:write"]}))


def _person(api: Client, person: Person, account: Json, known: Json | None) -> tuple[Json, str]:
    password = "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(5))
    if known is not None:
        return api.set_password(known["id"], password), password
    made = api.create_user(
        person.email, name=person.name, password=password, role=person.role, account_id=account["id"]
    )
    return made, password


def _program(api: Client, program: Program, account: Json, users: dict[str, Json]) -> HeldKey:
    made = api.create_key(
        program.name,
        environment=program.environment,
        permissions=program.permissions,
        allowlist=program.allowlist,
        limit=program.limit,
        account_id=account["id"],
        owner_id=users[program.owner]["id"],
    )
    return HeldKey(program, made["id"], made["secret"])


def _revoke_earlier(api: Client, account_id: str, names: set[str]) -> None:
    """Keys of an earlier run: nobody has their secrets any more."""
    page = api.list_keys(account_id=account_id, limit=200)
    for key in page["items"]:
        if key["name"] in names and key["status"] != "revoked":
            api.revoke_key(key["id"])
