#!/usr/bin/env python3
"""Sends the same random commands to skep and to redis-server, and compares the replies byte for byte.

    tests/differential/run.py path/to/skep [--commands N] [--seed S] [--keep-going]

Needs redis-server 7.0 (Debian: redis-server); without it, it says so and ends with code 0, or with 1 if
SKEP_TEST_REQUIRE_TOOLS=1. What is known to differ is listed in docs/RESP.md and not generated here.
"""

import argparse
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

KEYS = [b"a", b"b", b"key:000000000007", b"key:000000070000", b"long" * 20, b""]
NUMBERS = [b"0", b"1", b"-1", b"7", b"100", b"-100", b"9223372036854775807", b"-9223372036854775808",
           b"9223372036854775808", b"x", b"", b"1.5", b"01", b" 1", b"+1"]
FLOATS = [b"0", b"1", b"-1", b".5", b"1.", b"0.1", b"-0.3", b"3.0e3", b"1e-17", b"1e20", b"1e300", b"-1e300", b"5e-324",
          b"123456789.987654321", b"0.00000000000000001", b"abc", b"", b"1 ", b" 1", b"inf", b"-inf", b"nan", b"1e5000",
          b"1e-400", b"17179869184.5", b"-0", b"99999999999999999999"]
VALUES = [b"", b"v", b"10", b"-5", b"3.25", b"hello world", b"x" * 60, b"\x00\xff\r\n", b"1e3", b"12345678901234567890"]
PATTERNS = [b"*", b"a*", b"key:*", b"?", b"[ab]", b"[^a]", b"key:0000000?0000", b"l*g*", b"", b"\\a", b"[a-", b"nothing*", b"[b-a]"]
SECONDS = [b"10", b"100", b"1000000", b"0", b"-1", b"-100", b"x", b"9223372036854775807", b"9223372036854775", b"1.5"]
# Ages away from now, on either side, so that the few milliseconds between two servers do not matter.
TIMES_S = [b"1", b"4000000000", b"5000000000", b"0", b"-5", b"x", b"9223372036854775807"]
TIMES_MS = [b"1", b"4000000000000", b"5000000000000", b"0", b"-5", b"x", b"9223372036854775807"]


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.file = self.socket.makefile("rb")

    def send(self, words):
        out = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        self.socket.sendall(out)

    def reply(self):
        """The reply as raw bytes, and as a value."""
        line = self.file.readline()
        if not line:
            raise ConnectionError("the server has closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind in b"+-:,_#(":
            return line, (kind, rest)
        if kind in b"$=":
            length = int(rest)
            if length < 0:
                return line, (kind, None)
            body = self.file.read(length + 2)
            return line + body, (kind, body[:-2])
        count = int(rest) * (2 if kind == b"%" else 1)
        raw, items = line, []
        for _ in range(count):
            part, item = self.reply()
            raw += part
            items.append(item)
        return raw, (kind, items if int(rest) >= 0 else None)

    def ask(self, *words):
        self.send(words)
        return self.reply()


class Generator:
    def __init__(self, chance):
        self.chance = chance

    def one(self, of):
        return self.chance.choice(of)

    def key(self):
        return self.one(KEYS)

    def word(self, text):
        return text if self.chance.random() < 0.7 else text.lower()

    def set_options(self):
        options = []
        for _ in range(self.one([0, 0, 1, 1, 2, 3])):
            option = self.one([b"NX", b"XX", b"GET", b"EX", b"PX", b"EXAT", b"PXAT", b"KEEPTTL", b"PERSIST", b"FOO"])
            options.append(self.word(option))
            options += self.time_of(option)
        return options

    def time_of(self, option):
        if self.chance.random() < 0.03:
            return []
        if option in (b"EX", b"PX"):
            return [self.one([b"100", b"1000000", b"0", b"-1", b"x", b"9223372036854775807"])] \
                if option == b"EX" else [self.one([b"100000", b"0", b"-7", b"x", b"9223372036854775807"])]
        if option == b"EXAT":
            return [self.one(TIMES_S)]
        return [self.one(TIMES_MS)] if option == b"PXAT" else []

    def expire_options(self):
        return [self.word(self.one([b"NX", b"XX", b"GT", b"LT", b"WHAT"])) for _ in range(self.one([0, 0, 0, 1, 1, 2]))]

    def command(self):
        key, one = self.key, self.one
        pick = self.chance.randrange(44)
        table = {
            0: lambda: [b"SET", key(), one(VALUES)] + self.set_options(),
            1: lambda: [b"SET", key(), one(VALUES)],
            2: lambda: [b"GET", key()],
            3: lambda: [b"GETEX", key()] + self.set_options()[:2],
            4: lambda: [b"SETEX", key(), one(SECONDS), one(VALUES)],
            5: lambda: [b"PSETEX", key(), one([b"100000", b"0", b"-1", b"x"]), one(VALUES)],
            6: lambda: [b"SETNX", key(), one(VALUES)],
            7: lambda: [b"MSETNX"] + [w for _ in range(one([1, 2, 3])) for w in (key(), one(VALUES))],
            8: lambda: [b"MSET"] + [w for _ in range(one([1, 2, 3])) for w in (key(), one(VALUES))],
            9: lambda: [b"MGET"] + [key() for _ in range(one([1, 2, 4]))],
            10: lambda: [one([b"DEL", b"UNLINK", b"EXISTS", b"TOUCH"])] + [key() for _ in range(one([1, 2, 3]))],
            11: lambda: [b"TYPE", key()],
            12: lambda: [b"EXPIRE", key(), one(SECONDS)] + self.expire_options(),
            13: lambda: [b"PEXPIRE", key(), one([b"100000", b"0", b"-1", b"x", b"9223372036854775807"])] + self.expire_options(),
            14: lambda: [b"EXPIREAT", key(), one(TIMES_S)] + self.expire_options(),
            15: lambda: [b"PEXPIREAT", key(), one(TIMES_MS)] + self.expire_options(),
            16: lambda: [one([b"EXPIRETIME", b"PEXPIRETIME"]), key()],
            17: lambda: [one([b"TTL", b"PTTL"]), key()],
            18: lambda: [b"PERSIST", key()],
            19: lambda: [one([b"INCRBY", b"DECRBY"]), key(), one(NUMBERS)],
            20: lambda: [one([b"INCR", b"DECR"]), key()],
            21: lambda: [b"INCRBYFLOAT", key(), one(FLOATS)],
            22: lambda: [b"SET", key(), one(FLOATS + NUMBERS)],
            23: lambda: [one([b"GETRANGE", b"SUBSTR"]), key(), one(NUMBERS), one(NUMBERS)],
            24: lambda: [b"SETRANGE", key(), one([b"0", b"1", b"5", b"100", b"-1", b"x"]), one(VALUES)],
            25: lambda: [b"APPEND", key(), one(VALUES)],
            26: lambda: [b"STRLEN", key()],
            27: lambda: [one([b"GETDEL", b"GETSET"]), key()] + ([one(VALUES)] if self.chance.random() < 0.5 else []),
            28: lambda: [one([b"RENAME", b"RENAMENX"]), key(), key()],
            29: lambda: [b"COPY", key(), key()] + one([[], [], [b"REPLACE"], [b"DB", b"0"], [b"DB", b"x"], [b"WHAT"]]),
            30: lambda: [b"KEYS", one(PATTERNS)],
            31: lambda: [b"SCAN", one([b"0", b"0", b"0", b"x"])] + one([[], [b"COUNT", b"100"], [b"MATCH", one(PATTERNS), b"COUNT", b"1000"],
                         [b"COUNT", b"0"], [b"COUNT", b"x"], [b"TYPE", b"string", b"COUNT", b"100"], [b"TYPE", b"list", b"COUNT", b"100"], [b"WHAT", b"1"], [b"MATCH"]]),
            32: lambda: [b"DBSIZE"],
            33: lambda: [one([b"ECHO", b"PING", b"SELECT"])] + one([[], [b"0"], [b"x"], [b"0", b"0"]]),
            34: lambda: [b"OBJECT", one([b"REFCOUNT", b"FREQ"]), one([b"nothing", b"never"])],
            35: lambda: [b"COMMAND", b"GETKEYS"] + one([[b"GET", b"a"], [b"MSET", b"a", b"1", b"b", b"2"], [b"CLIENT", b"ID"], [b"NOSUCH", b"x"], [b"RENAME", b"a", b"b"]]),
            36: lambda: one([[b"EXEC"], [b"DISCARD"], [b"MULTI"], [b"UNWATCH"], [b"MULTI"], [b"EXEC"]]),
            37: lambda: [b"WATCH"] + [key() for _ in range(one([1, 2]))],
            38: lambda: [one([b"NOSUCH", b"get", b"gEt", b"mset", b"msetnx"])] + [key() for _ in range(one([0, 1, 2, 3]))],
            39: lambda: [b"CLUSTER"] + one([[b"INFO"], [b"SLOTS"], [b"NODES"], [b"KEYSLOT", b"a"]]),
            40: lambda: [b"OBJECT", b"ENCODING", b"nothing"],
            41: lambda: [b"FLUSHALL"] if self.chance.random() < 0.2 else [b"EXISTS", key()],
            42: lambda: [b"FLUSHDB"] + one([[b"SYNC"], [b"NOW"], [b"ASYNC"], [b"SYNC", b"ASYNC"]]) if self.chance.random() < 0.2 else [b"GET", key()],
            43: lambda: [b"PEXPIRE", key(), one([b"1", b"10", b"25"])],
        }
        return table[pick]()


def is_short(words):
    """Whether a key is about to expire, which both servers are given the time for."""
    return words[0] == b"PEXPIRE" and words[2] in (b"1", b"10", b"25")


def same(words, ours, theirs):
    name = words[0].upper()
    if ours[0] == theirs[0]:
        return True
    (kind, one), (other_kind, other) = ours[1], theirs[1]
    if kind != other_kind:
        return False
    if name in (b"TTL", b"PTTL") and kind == b":":
        # The same moment, looked at a little later.
        return int(one) >= 0 and int(other) >= 0 and abs(int(one) - int(other)) <= (1 if name == b"TTL" else 200)
    if name in (b"EXPIRETIME", b"PEXPIRETIME") and kind == b":":
        return int(one) >= 0 and int(other) >= 0 and abs(int(one) - int(other)) <= (1 if name == b"EXPIRETIME" else 200)
    if name == b"KEYS" and kind == b"*":
        return sorted(one) == sorted(other)
    if name == b"SCAN" and kind == b"*":
        return one[0] == other[0] and sorted(one[1][1]) == sorted(other[1][1])
    if name == b"OBJECT" and kind == b"-":
        return one.split(b".")[0].lower() == other.split(b".")[0].lower()
    return False


def same_transaction(queued, ours, theirs):
    if ours[0] == theirs[0]:
        return True
    (_, one), (_, other) = ours[1], theirs[1]
    if not isinstance(one, list) or not isinstance(other, list) or len(one) != len(other) or len(one) != len(queued):
        return False
    pairs = zip(queued, one, other)
    return all(a == b or same(words, (b"1", a), (b"2", b)) for words, a, b in pairs)


# Inside a transaction these are refused here, or ask several regions.
NOT_QUEUED = (b"KEYS", b"SCAN", b"FLUSHALL", b"FLUSHDB", b"DBSIZE")


def run(ours, theirs, count, seed, keep_going):
    generator = Generator(random.Random(seed))
    queued, is_open, differences = [], False, 0
    rival = 0
    for number in range(count):
        words = generator.command()
        name = words[0].upper()
        if is_open and (name in NOT_QUEUED or is_short(words)):
            continue
        if generator.chance.random() < 0.02:
            # Somebody else writes: what is watched may change.
            rival += 1
            other = [b"SET", generator.key(), b"rival%d" % rival]
            ours[1].ask(*other), theirs[1].ask(*other)
        answers = [client[0].ask(*words) for client in (ours, theirs)]
        if is_short(words):
            time.sleep(0.06)
        if name == b"DBSIZE" and answers[0][0] != answers[1][0]:
            # Redis counts what has expired until it has come round to it.
            time.sleep(0.5)
            answers = [client[0].ask(*words) for client in (ours, theirs)]
        if name == b"EXEC" and is_open:
            fine = same_transaction(queued, *answers)
        else:
            fine = same(words, *answers)
        if name == b"MULTI":
            is_open, queued = (True, queued) if is_open else (True, [])
        elif name in (b"EXEC", b"DISCARD"):
            is_open = False
        elif is_open and answers[1][0] == b"+QUEUED\r\n":
            queued.append(words)
        if not fine:
            differences += 1
            print(f"difference after {number} commands of seed {seed}: {words}")
            print(f"  skep  {answers[0][0]!r}\n  redis {answers[1][0]!r}")
            if not keep_going:
                return differences
    return differences


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port, process):
    for _ in range(600):
        if process.poll() is not None:
            sys.exit(f"{process.args[0]} has ended with code {process.returncode}")
        try:
            if Client(port).ask(b"PING")[0] == b"+PONG\r\n":
                return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit(f"{process.args[0]} does not answer")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("skep")
    parser.add_argument("--commands", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep-going", action="store_true")
    options = parser.parse_args()
    if shutil.which("redis-server") is None:
        print("skipped: redis-server is missing (Debian: redis-server)")
        sys.exit(1 if os.environ.get("SKEP_TEST_REQUIRE_TOOLS") == "1" else 0)
    with tempfile.TemporaryDirectory(prefix="skep-differential-") as directory:
        ports = [free_port() for _ in range(3)]
        skep = subprocess.Popen(
            [options.skep, "dev", "--data", f"{directory}/skep", "--listen", f"127.0.0.1:{ports[0]}",
             "--admin", f"127.0.0.1:{ports[1]}", "--regions", "1", "--allow-flush"], stdout=subprocess.DEVNULL)
        redis = subprocess.Popen(
            ["redis-server", "--port", str(ports[2]), "--save", "", "--appendonly", "no", "--dir", directory],
            stdout=subprocess.DEVNULL)
        try:
            wait_for(ports[0], skep)
            wait_for(ports[2], redis)
            clients = [[Client(port), Client(port)] for port in (ports[0], ports[2])]
            differences = run(*clients, options.commands, options.seed, options.keep_going)
        finally:
            for process in (skep, redis):
                process.send_signal(signal.SIGTERM)
            for process in (skep, redis):
                process.wait(30)
    if differences:
        sys.exit(f"{differences} replies differ")
    print(f"{options.commands} commands of seed {options.seed}: every reply is the same")


if __name__ == "__main__":
    main()
