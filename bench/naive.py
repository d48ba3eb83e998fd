"""A minimal proxy for comparison: FastAPI, httpx and sessions in a dictionary, without refresh and limits."""

import os

import httpx
from fastapi import FastAPI, Request, Response

app = FastAPI()
client = httpx.AsyncClient(base_url=os.environ["UPSTREAM"])
sessions = {"naive": "an-access-token"}


@app.api_route("/api/{path:path}", methods=["GET", "POST"])
async def proxy(path: str, request: Request) -> Response:
    token = sessions.get(request.cookies.get("session", ""))
    if token is None:
        return Response(status_code=401)
    headers = {"authorization": f"Bearer {token}", "accept": request.headers.get("accept", "*/*")}
    response = await client.request(request.method, f"/api/{path}", headers=headers, content=await request.body())
    return Response(response.content, response.status_code, {"content-type": response.headers.get("content-type", "")})
