"""A mail server that runs where its address is: `mail.py up FOLDER` as `on up` starts it, `mail.py down FOLDER` as `on down` ends it.
What it has acknowledged is in FOLDER/MACHINE/."""

import os
import signal
import socket
import sys

what, folder = sys.argv[1:]
spool = os.path.join(folder, os.environ["BACKHAND_MACHINE"])
number = spool + ".pid"


def session(client):
    lines = client.makefile("rb")

    def say(words):
        client.sendall(words.encode() + b"\r\n")

    say("220 here")
    for line in lines:
        word = line[:4].upper()
        if word == b"DATA":
            say("354 go on")
            text = b"".join(iter(lines.readline, b".\r\n"))
            keep(text.strip().decode())
            say("250 kept")
        elif word == b"QUIT":
            return say("221 done")
        else:
            say("250 well")


def keep(name):
    """Whoever says 250 is answerable for the message from then on."""
    with open(os.path.join(spool, name), "w") as file:
        os.fsync(file.fileno())


def serve(server):
    while True:
        client, _ = server.accept()
        client.settimeout(2)
        try:
            session(client)
        except OSError:
            pass
        finally:
            client.close()


if what == "up":
    os.makedirs(spool, exist_ok=True)
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((os.environ["BACKHAND_HEAD"], 25))
    server.listen(64)
    if child := os.fork():
        with open(number, "w") as file:
            file.write(str(child))
        sys.exit()
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in 0, 1, 2:
        os.dup2(null, stream)
    serve(server)
elif os.path.exists(number):
    with open(number) as file:
        child = int(file.read())
    try:
        os.kill(child, signal.SIGKILL)
    except ProcessLookupError:
        pass
    os.remove(number)
