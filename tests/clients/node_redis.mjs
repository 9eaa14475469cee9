// node-redis with its defaults: connect, every group of commands, pipelines, transactions, iterators.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { createClient, WatchError } from "redis";

const url = `redis://127.0.0.1:${process.argv[2]}`;
const client = await createClient({ url }).connect();
await client.flushAll();
assert.equal(await client.ping(), "PONG");

assert.equal(await client.set("a", "1"), "OK");
assert.equal(await client.set("a", "2", { condition: "NX", expiration: { type: "EX", value: 100 } }), null);
assert.equal(await client.set("a", "2", { GET: true, expiration: { type: "PX", value: 100000 } }), "1");
assert.ok((await client.ttl("a")) > 90);
assert.equal(await client.getEx("a", { type: "PERSIST" }), "2");
assert.equal(await client.ttl("a"), -1);
assert.equal(await client.incrBy("a", 5), 7);
assert.equal(String(await client.incrByFloat("a", 0.5)), "7.5");
assert.equal(await client.mSet({ b: "b", c: "c" }), "OK");
assert.deepEqual(await client.mGet(["b", "nothing", "c"]), ["b", null, "c"]);
assert.equal(Number(await client.mSetNX({ b: "x", d: "x" })), 0);
assert.equal(Number(await client.expire("b", 100, "NX")), 1);
assert.equal(Number(await client.persist("b")), 1);
assert.equal(await client.del(["b", "c"]), 2);
assert.equal(await client.get("nothing"), null);
await assert.rejects(client.rename("b2", "b"), /no such key/);

const names = Array.from({ length: 500 }, (_, number) => `key:${String(number).padStart(12, "0")}`);
assert.ok((await Promise.all(names.map((name, number) => client.set(name, number)))).every((reply) => reply === "OK"));

assert.deepEqual(await client.multi().set("n", 1).incr("n").get("n").exec(), ["OK", 2, "2"]);
const other = await client.duplicate().connect();
await client.watch("n");
await other.set("n", "changed");
await assert.rejects(client.multi().set("n", "lost").exec(), WatchError);
assert.equal(await client.get("n"), "changed");

const found = [];
for await (const keys of client.scanIterator({ MATCH: "key:*", COUNT: 9 })) found.push(...[keys].flat());
assert.deepEqual(found.sort(), names);
assert.equal((await client.keys("key:00000000001?")).length, 10);
assert.equal(await client.dbSize(), 502);
assert.match(await client.info(), /role:master/);
assert.equal(await client.sendCommand(["KV.CAS", "n", "changed", "new"]), 1);

await client.close();
other.destroy();
const version = createRequire(import.meta.url)("redis/package.json").version;
console.log("node-redis", version, "works");
