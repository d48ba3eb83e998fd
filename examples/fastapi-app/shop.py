"""A shop: one route of its own asks two APIs at once for a screen; the BFF does everything else."""

import asyncio
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI
from pydantic import BaseModel

from bff import Bff, User, api_client, current_user, require

app = FastAPI(title="Shop", summary="What the screens of the shop need, one request for each.")
Bff().install(app)

SignedIn = Annotated[User, Depends(current_user)]
Staff = Annotated[User, Depends(require("groups", any_of=["staff"]))]
Orders = Annotated[httpx.AsyncClient, Depends(api_client("orders"))]
Profile = Annotated[httpx.AsyncClient, Depends(api_client("profile"))]


class Order(BaseModel):
    id: int
    total: str


class Home(BaseModel):
    name: str | None
    city: str | None
    orders: list[Order]


class Note(BaseModel):
    order: int
    text: str


@app.get("/screens/home")
async def home(user: SignedIn, orders: Orders, profile: Profile) -> Home:
    """The start screen. Without a profile it has no city; without orders there is nothing to show."""
    latest, about = await asyncio.gather(orders.get("/latest", params={"limit": 3}), profile.get("/me"))
    latest.raise_for_status()
    city = about.json()["city"] if about.is_success else None
    return Home(name=user.name, city=city, orders=[Order(**order) for order in latest.json()])


@app.post("/notes", status_code=201)
async def add_note(note: Note, user: Staff, orders: Orders) -> Note:
    """Adds a note to an order. Only pages of this application can send it: the BFF checks that."""
    response = await orders.post(f"/{note.order}/notes", json={"text": note.text, "author": user.sub})
    response.raise_for_status()
    return note
