"""Beginning to work with a database: its schema is changed only where nobody else works with it."""

from sqlalchemy import Engine

from keyturn.store.migrate import migrate, revisions
from keyturn.store.presence import NotAlone, Presence, check_sessions


def enter(engine: Engine, presence: Presence) -> bool:
    """Have the schema up to date, and be known to work with it; whether alone, which lasts until `presence.serve`.

    Raises NotAlone where it is not, and a server works with it as it is; or SessionsShared, or SQLAlchemy's errors.
    """
    check_sessions(engine)
    while not presence.is_alone():
        presence.serve()
        found, wanted = revisions(engine)
        others = presence.others()
        if found == wanted and others:
            return False
        presence.release()
        if others:
            msg = (
                f"this database is at revision {found} and this version works with {wanted};"
                f" a keyturn server is using it ({others})"
            )
            raise NotAlone(msg)
    migrate(engine)
    return True
