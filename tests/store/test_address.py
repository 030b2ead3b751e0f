"""The address of the database: as libpq has it, and never shown with its password."""

import pytest

from keyturn.store.address import libpq_address, parse, shown

SECRET = "s3cr3t"
SEVERAL = {
    f"postgresql://k:{SECRET}@h1:5433,[::1]:5434/db?sslmode=require": (
        "dbname=db user=k password=s3cr3t sslmode=require host=h1,::1 port=5433,5434",
        "postgresql://k:***@h1:5433,[::1]:5434/db",
    ),
    f"postgresql://k:{SECRET}@/db?host=h1:5433&host=h2:5434": (
        "dbname=db user=k password=s3cr3t host=h1,h2 port=5433,5434",
        "postgresql://k:***@h1:5433,h2:5434/db",
    ),
    f"postgresql+psycopg://k:{SECRET},@h1,h2/db": (
        "dbname=db user=k password=s3cr3t, host=h1,h2 port=5432,5432",
        "postgresql+psycopg://k:***@h1:5432,h2:5432/db",
    ),
    "postgresql://h1,h2?target_session_attrs=read-write": (
        "target_session_attrs=read-write host=h1,h2 port=5432,5432",
        "postgresql://h1:5432,h2:5432/",
    ),
}
ONE = {
    f"postgresql://k:{SECRET}@[::1]:5433/db": "postgresql://k:***@[::1]:5433/db",
    f"postgresql://k:{SECRET},x@h/db": "postgresql://k:***@h/db",
    f"postgresql://k@/db?host=/run/postgresql&password={SECRET}": "postgresql://k@/db",
    "sqlite:////tmp/a,b.db": "sqlite:////tmp/a%2Cb.db",
}
NONE = {
    "nonsense": "cannot be read: write sqlite",
    f"postgresql://k:{SECRET}@h1:5433:5434/db": "cannot be read: write sqlite",
    f"postgresql://k:{SECRET}@h1:{SECRET},h2/db": "HOST or HOST:PORT",
    f"postgresql://k:{SECRET}@h1,/db": "HOST or HOST:PORT",
    f"postgresql://k:{SECRET}@h1,h2/db?target_session_attrs=any": "leave target_session_attrs out",
}


@pytest.mark.parametrize("url", SEVERAL)
def test_several_hosts_are_listed_as_libpq_has_them(url: str) -> None:
    libpq, people = SEVERAL[url]
    assert (libpq_address(url), shown(url)) == (libpq, people)


@pytest.mark.parametrize("url", ONE)
def test_of_one_host_nothing_is_shown_that_is_secret(url: str) -> None:
    assert shown(url) == ONE[url]


@pytest.mark.parametrize("url", NONE)
def test_what_is_no_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match=NONE[url]) as refused:
        parse(url)
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None
    assert shown(url) == "(not an address of a database)"
