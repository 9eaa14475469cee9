// ioredis with its defaults: connect, every group of commands, pipelines, transactions, iterators.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { Redis } from "ioredis";

const client = new Redis(Number(process.argv[2]), "127.0.0.1");
await client.flushall();
assert.equal(await client.ping(), "PONG");

assert.equal(await client.set("a", "1"), "OK");
assert.equal(await client.set("a", "2", "EX", 100, "NX"), null);
assert.equal(await client.set("a", "2", "PX", 100000, "GET"), "1");
assert.ok((await client.ttl("a")) > 90);
assert.equal(await client.getex("a", "PERSIST"), "2");
assert.equal(await client.ttl("a"), -1);
assert.equal(await client.incrby("a", 5), 7);
assert.equal(String(await client.incrbyfloat("a", 0.5)), "7.5");
assert.equal(await client.mset({ b: "b", c: "c" }), "OK");
assert.deepEqual(await client.mget("b", "nothing", "c"), ["b", null, "c"]);
assert.equal(await client.msetnx("b", "x", "d", "x"), 0);
assert.equal(await client.expire("b", 100, "NX"), 1);
assert.equal(await client.persist("b"), 1);
assert.equal(await client.del("b", "c"), 2);
assert.equal(await client.getBuffer("a").then((value) => value.toString()), "7.5");
await assert.rejects(client.rename("b2", "b"), /no such key/);

const pipeline = client.pipeline();
for (let number = 0; number < 500; number++) pipeline.set(`key:${String(number).padStart(12, "0")}`, number);
assert.ok((await pipeline.exec()).every(([error, reply]) => error === null && reply === "OK"));

assert.deepEqual(await client.multi().set("n", 1).incr("n").get("n").exec(), [[null, "OK"], [null, 2], [null, "2"]]);
const other = client.duplicate();
await client.watch("n");
await other.set("n", "changed");
assert.equal(await client.multi().set("n", "lost").exec(), null);
assert.equal(await client.get("n"), "changed");
await assert.rejects(client.multi().set("n").exec(), /EXECABORT/);

const found = [];
for await (const keys of client.scanStream({ match: "key:*", count: 9 })) found.push(...keys);
assert.equal(found.length, 500);
assert.equal(new Set(found).size, 500);
assert.equal((await client.keys("key:00000000001?")).length, 10);
assert.equal(await client.dbsize(), 502);
assert.match(await client.info(), /loading:0/);
assert.deepEqual(await client.call("KV.RANGE", "key:000000000001", "key:000000000002"), [["key:000000000001", "1"]]);

await client.quit();
other.disconnect();
const version = createRequire(import.meta.url)("ioredis/package.json").version;
console.log("ioredis", version, "works");
