"""An upstream that reads uploads completely and responds with their length: `python -m bench.sink PORT`."""

import asyncio
import sys

PIECE = 1 << 18  # bytes


async def consume(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = 0
            if b"chunked" in head:
                while size := int(await reader.readline(), 16):
                    await reader.readexactly(size + 2)
                    length += size
                await reader.readline()
            else:
                content_lengths = [line for line in head.split(b"\r\n") if line.startswith(b"content-length:")]
                length = remaining = int(content_lengths[0].partition(b":")[2]) if content_lengths else 0
                while remaining > 0:
                    remaining -= len(await reader.readexactly(min(remaining, PIECE)))
            body = b"%d" % length
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(consume, "127.0.0.1", int(sys.argv[1]), limit=1 << 20)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
