"""The address of the database: as libpq has it, and never shown with its password."""

import traceback

import pytest

from keyturn.store.address import is_postgresql, libpq_address, shown, sqlite_address
from keyturn.store.database import connect

SECRET = "s3cr3t"
SEVERAL = {
    f"postgresql://k:{SECRET}@h1:5433,[::1]:5434/db?sslmode=require": (
        "user=k password=s3cr3t dbname=db host=h1,::1 port=5433,5434 sslmode=require target_session_attrs=primary",
        "postgresql://k:***@h1:5433,[::1]:5434/db",
    ),
    f"postgresql+psycopg://k%40x:{SECRET}%40@%2Frun%2Fpg,h2/db": (
        "user=k@x password=s3cr3t@ dbname=db host=/run/pg,h2 port=, target_session_attrs=primary",
        "postgresql://k%40x:***@%2Frun%2Fpg,h2/db",
    ),
    "postgres:///db?host=h1,h2&port=5433&target_session_attrs=read-write": (
        "dbname=db host=h1,h2 port=5433 target_session_attrs=primary",
        "postgresql://h1:5433,h2:5433/db",
    ),
}
ONE = {
    f"postgresql://k:{SECRET}@[::1]:5433/db": "postgresql://k:***@[::1]:5433/db",
    f"postgresql://k:{SECRET},x@h/db?application_name=a@b": "postgresql://k:***@h/db",
    f"postgresql://k@/db?host=/run/postgresql&password={SECRET}": "postgresql://k:***@%2Frun%2Fpostgresql/db",
    "sqlite:////tmp/a,b.db": "sqlite:////tmp/a%2Cb.db",
}
NONE = {
    "nonsense": "cannot be read",
    f"mysql://k:{SECRET}@h/db": "cannot be read",
    f"sqlite://k:{SECRET}@h/db": "cannot be read",
    "sqlite+aiosqlite:////tmp/a.db": "cannot be read",
    f"postgresql://k:{SECRET}@h/db?autocommit=1": "cannot be read",
    f"postgresql://k:{SECRET}%00@h/db": "cannot be read",
    f"postgresql://k:{SECRET}\udc80@h/db": "cannot be read",
    f"postgresql://k:p@{SECRET}@h1,h2/db": "cannot be read",
    f"postgresql://k:{SECRET}@h1,h2/db?target_session_attrs=any": "leave target_session_attrs out",
}


@pytest.mark.parametrize("url", SEVERAL)
def test_several_hosts_are_read_as_libpq_does_and_the_primary_is_asked_for(url: str) -> None:
    libpq, people = SEVERAL[url]
    assert (sorted(libpq_address(url).split()), shown(url)) == (sorted(libpq.split()), people)


def test_also_where_the_environment_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "h1,h2")
    assert "target_session_attrs=primary" in libpq_address("postgresql:///db")
    assert "target_session_attrs=any" in libpq_address("postgresql://h/db")


@pytest.mark.parametrize("url", ONE)
def test_of_one_host_nothing_is_shown_that_is_secret(url: str) -> None:
    assert shown(url) == ONE[url]


@pytest.mark.parametrize("url", NONE)
def test_what_is_no_address_is_refused_without_repeating_it(url: str) -> None:
    for reader in (libpq_address if is_postgresql(url) else sqlite_address, connect):
        with pytest.raises(ValueError, match=NONE[url]) as refused:
            reader(url)
        assert SECRET not in "".join(traceback.format_exception(refused.value))
    assert shown(url) == "(not an address of a database)"
