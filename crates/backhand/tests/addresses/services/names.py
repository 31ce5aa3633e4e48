"""A name server that runs on each machine all the time. It is bound to no address and answers from the one that was asked; whatever is
asked for, it tells its own name, as `id.server` does (RFC 4892). The argument is that name."""

import socket
import struct
import sys

IP_PKTINFO = 8
TXT, IN = 16, 1

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
server.bind(("", 53))
name = sys.argv[1].encode()
text = bytes([len(name)]) + name
while True:
    question, control, _, client = server.recvmsg(512, 64)
    # An interface, our address that it came to, and the address that it was sent to.
    asked = next(data[4:8] for level, kind, data in control if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO))
    answer = question[:2] + struct.pack(">HHHHH", 0x8400, 1, 1, 0, 0) + question[12:]
    answer += b"\xc0\x0c" + struct.pack(">HHIH", TXT, IN, 0, len(text)) + text
    try:
        server.sendmsg([answer], [(socket.IPPROTO_IP, IP_PKTINFO, struct.pack("i4s4s", 0, asked, bytes(4)))], 0, client)
    except OSError:
        # The address has gone in the meantime.
        pass
