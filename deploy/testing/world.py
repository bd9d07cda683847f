"""What a container of the test meets on loopback: a shop, a receiver of messages, and a DNS server.

Prints the port of its web server, then goes on until it is ended. `/stock` is the shop, which has one more each time;
what is sent to `/told` is written to the file TOLD, one message a line. The DNS server answers for one name alone,
with 127.0.0.1.
"""

import http.server
import itertools
import json
import socket
import struct
import sys
import threading

stock = itertools.count(1)
TOLD, DNS_ADDRESS, NAME = sys.argv[1], sys.argv[2], sys.argv[3]


class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(json.dumps({"left": next(stock)}).encode())

    def do_POST(self):
        message = self.rfile.read(int(self.headers["Content-Length"]))
        with open(TOLD, "ab") as told:
            told.write(message.replace(b"\n", b" ") + b"\n")
        self.answer(b"{}")

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def answer_names(listening):
    """RFC 1035, as far as a question for one name goes."""
    while True:
        query, asker = listening.recvfrom(512)
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode("latin-1"))
            at += 1 + query[at]
        question = query[12 : at + 5]
        known = ".".join(labels).lower() == NAME
        is_ipv4 = struct.unpack("!H", question[-4:-2])[0] == 1
        flags = 0x8180 if known else 0x8183  # an answer, or: there is no such name
        reply = struct.pack("!2sHHHHH", query[:2], flags, 1, int(known and is_ipv4), 0, 0) + question
        if known and is_ipv4:
            reply += struct.pack("!HHHIH4s", 0xC00C, 1, 1, 60, 4, socket.inet_aton("127.0.0.1"))
        listening.sendto(reply, asker)


names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind((DNS_ADDRESS, 53))
threading.Thread(target=answer_names, args=(names,), daemon=True).start()
web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
print(web.server_address[1], flush=True)
web.serve_forever()
