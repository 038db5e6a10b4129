"""Flask and SQLAlchemy on MariaDB: a database per tenant, and an engine for each."""

import os
from functools import cache

from flask import Flask, jsonify, request
from sqlalchemy import Text, create_engine, make_url, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

UNTENANTED = os.environ.get("UNTENANTED") == "1"
SERVER = make_url(os.environ["DATABASE_URL"]).set(drivername="mysql+pymysql")
POOL = int(os.environ["POOL"])

app = Flask(__name__)


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str]


class Note(Base):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(Text)


@cache
def engine_of(tenant):
    """A connection that stays, and as many more as there are threads."""
    return create_engine(SERVER.set(database=tenant), pool_size=1, max_overflow=POOL - 1)


single = create_engine(SERVER.set(database="single"), pool_size=POOL, max_overflow=0)


def session_of(tenant):
    return Session(single if UNTENANTED else engine_of(tenant))


@app.get("/t/<tenant>/users")
def users(tenant):
    with session_of(tenant) as session:
        found = session.scalars(select(User).order_by(User.id))
        return jsonify([{"id": user.id, "username": user.username} for user in found])


@app.post("/t/<tenant>/notes")
def note(tenant):
    with session_of(tenant) as session:
        session.add(Note(text=request.get_json()["text"]))
        session.commit()
    return "", 201
