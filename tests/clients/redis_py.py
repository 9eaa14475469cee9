"""redis-py with its defaults: connect, every group of commands, pipelines, transactions, iterators."""

import sys
import time

import redis

client = redis.Redis(port=int(sys.argv[1]), decode_responses=True)
client.flushall()
assert client.ping()

# Strings and numbers.
assert client.set("a", "1") is True
assert client.get("a") == "1"
assert client.set("a", "2", nx=True) is None
assert client.set("a", "2", xx=True, get=True) == "1"
assert client.append("a", "x") == 2
assert client.strlen("a") == 2
assert client.getrange("a", 0, 0) == "2"
assert client.setrange("a", 3, "y") == 4
assert client.getdel("a") == "2x\x00y"
assert client.incr("n", 5) == 5 and client.decr("n") == 4
assert client.incrbyfloat("f", 10.5) == 10.5 and client.incrbyfloat("f", 0.1) == 10.6
assert client.mset({"m1": "1", "m2": "2"}) is True
assert client.mget("m1", "nothing", "m2") == ["1", None, "2"]
assert client.msetnx({"m1": "x", "m3": "x"}) is False
assert client.exists("m1", "m2", "m3") == 2
assert client.type("m1") == "string"
assert client.rename("m1", "m4") is True
assert client.delete("m2", "m4") == 2
assert client.unlink("f") == 1
try:
    client.rename("nothing", "m4")
    raise SystemExit("a key that does not exist was renamed")
except redis.ResponseError as error:
    assert "no such key" in str(error), error

# Times.
assert client.set("t", "v", ex=100) is True
assert 98 <= client.ttl("t") <= 100
assert client.expire("t", 50, lt=True) == 1 and client.pttl("t") <= 50_000
assert client.persist("t") == 1 and client.ttl("t") == -1
assert client.getex("t", px=40) == "v"
time.sleep(0.06)
assert client.get("t") is None and client.ttl("t") == -2
assert client.execute_command("SETEX", "t", 100, "v") in (True, "OK")
assert client.expiretime("t") - time.time() < 101

# Pipelines.
with client.pipeline(transaction=False) as pipe:
    for number in range(500):
        pipe.set(f"key:{number:012}", number)
        pipe.get(f"key:{number:012}")
    replies = pipe.execute()
assert replies == [item for number in range(500) for item in (True, str(number))]

# Transactions, and what breaks them.
with client.pipeline() as pipe:
    pipe.incr("n")
    pipe.get("n")
    assert pipe.execute() == [5, "5"]
with client.pipeline() as pipe:
    pipe.watch("n")
    before = int(pipe.get("n"))
    pipe.multi()
    pipe.set("n", before * 2)
    assert pipe.execute() == [True]
    pipe.watch("n")
    client.set("n", "changed")
    pipe.multi()
    pipe.set("n", "lost")
    try:
        pipe.execute()
        raise SystemExit("a watched key changed and nobody noticed")
    except redis.WatchError:
        pass
assert client.get("n") == "changed"


def set_n(pipe):
    pipe.multi()
    pipe.set("n", 1)


assert client.transaction(set_n, "n") == [True]

# Iterators.
assert sorted(client.scan_iter("key:*", count=7)) == [f"key:{number:012}" for number in range(500)]
assert sorted(client.keys("key:00000000001?")) == [f"key:{number:012}" for number in range(10, 20)]
assert client.randomkey() is not None
assert client.dbsize() == 502, client.dbsize()

# The connection and the server.
assert client.client_setname("tests") is True and client.client_getname() == "tests"
assert client.client_info()["resp"] in (2, 3, "2", "3")
assert client.info("replication")["role"] == "master"
assert client.info()["db0"]["keys"] == 502
assert client.config_get("save") == {"save": ""}
assert client.command_count() > 60
assert client.object("encoding", "n") == "int"
assert client.memory_usage("n") > 0
assert client.wait(1, 100) >= 1
assert client.execute_command("KV.RANGE", "key:000000000001", "key:000000000003", "KEYSONLY") == [
    "key:000000000001", "key:000000000002"]
assert client.execute_command("KV.CAS", "n", "1", "2") == 1

# A pool of connections.
pool = redis.Redis(port=int(sys.argv[1]), protocol=2)
assert [pool.incr("pool") for _ in range(3)] == [1, 2, 3]
print("redis-py", redis.__version__, "works")
