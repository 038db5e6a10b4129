"""FastAPI and asyncpg: a schema per tenant, `SET LOCAL search_path` in a transaction."""

import os
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

UNTENANTED = os.environ.get("UNTENANTED") == "1"
POOL = int(os.environ["POOL"])
READ = "SELECT id, username FROM users ORDER BY id"
WRITE = "INSERT INTO notes (text) VALUES ($1)"


@asynccontextmanager
async def lifespan(app):
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=POOL, max_size=POOL) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


class NewNote(BaseModel):
    text: str


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


@asynccontextmanager
async def connection_of(tenant):
    async with app.state.pool.acquire() as connection:
        if UNTENANTED:
            yield connection
            return
        async with connection.transaction():
            await connection.execute(f"SET LOCAL search_path TO {quoted(tenant)}, public")
            yield connection


@app.get("/t/{tenant}/users")
async def users(tenant: str):
    async with connection_of(tenant) as connection:
        rows = await connection.fetch(READ)
    return JSONResponse([{"id": row["id"], "username": row["username"]} for row in rows])


@app.post("/t/{tenant}/notes")
async def note(tenant: str, new: NewNote):
    async with connection_of(tenant) as connection:
        await connection.execute(WRITE, new.text)
    return Response(status_code=201)
