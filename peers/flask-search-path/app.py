"""Flask and SQLAlchemy: a schema per tenant, `SET search_path` at the beginning of each request."""

import os

from flask import Flask, jsonify, request
from sqlalchemy import create_engine, make_url, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

UNTENANTED = os.environ.get("UNTENANTED") == "1"

engine = create_engine(
    make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+psycopg2"),
    pool_size=int(os.environ["POOL"]),
    max_overflow=0,
)
quoted = engine.dialect.identifier_preparer.quote_identifier
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
    text: Mapped[str]


def session_of(tenant):
    session = Session(engine)
    if not UNTENANTED:
        session.execute(text(f"SET search_path TO {quoted(tenant)}, public"))
    return session


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
