// Asks a running service as a program in another language does, with the .proto files and
// @grpc/grpc-js. Prints one line of JSON for each check: its name, what was wrong or null, a note,
// and the time it took.
//
// The argument is a JSON object: addresses of the service by channel, targets, paths, and the URL
// of the service's metrics.
import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';

const config = JSON.parse(process.argv[2]);
const { open, closed, silent } = config.targets;

const options = { keepCase: true, longs: Number, enums: String, defaults: true, includeDirs: [config.proto] };
const { ShakerService } = grpc.loadPackageDefinition(
  loader.loadSync('tcpshaker/v1/shaker_service.proto', options),
).tcpshaker.v1;
const details = loader.loadFileDescriptorSetFromBuffer(readFileSync(config.details), options);

// idle is how long each keepalive check leaves its connection without a call or a message.
const idle = 45_000;
// patience bounds every call whose deadline is not what a check is about.
const patience = 120_000;

function connect(channel, more = {}) {
  return new ShakerService(config.addresses[channel], grpc.credentials.createInsecure(), {
    'grpc.enable_http_proxy': 0,
    ...more,
  });
}

const plain = connect('plain');
const gzip = connect('gzip', { 'grpc.default_compression_algorithm': grpc.compressionAlgorithms.gzip });
const keepalive = { 'grpc.keepalive_time_ms': 5000, 'grpc.keepalive_permit_without_calls': 1 };

// ask makes one Check. A status other than OK is thrown as grpc-js gives it.
function ask(client, request, deadline = patience) {
  return new Promise((resolve, reject) => {
    client.Check(request, { deadline: Date.now() + deadline }, (error, answer) =>
      error ? reject(error) : resolve(answer.results),
    );
  });
}

// stream opens a StreamCheck. Its results grow as they come. Its ended resolves to the status, OK
// or not, after the last result.
function stream(client) {
  const call = client.StreamCheck({ deadline: Date.now() + patience });
  const results = [];
  call.on('data', (answer) => results.push(...answer.results));
  call.on('error', () => {}); // ended has the status
  const read = new Promise((resolve) => call.on('end', resolve));
  const ended = new Promise((resolve) => call.on('status', resolve)).then(async (status) => {
    if (status.code === grpc.status.OK) await read;
    return status;
  });
  return { call, results, ended };
}

// next resolves to null at the next event of that name, or to the status if the stream ends before.
function next({ call, ended }, event) {
  return Promise.race([new Promise((resolve) => call.once(event, () => resolve(null))), ended]);
}

// answered waits until a stream has given so many results.
async function answered(s, count) {
  while (s.results.length < count) {
    const status = await next(s, 'data');
    if (status) assert.fail(`${describe(status)} after ${s.results.length} results of ${count}`);
  }
}

// send writes targets in messages of the given size, as fast as the service takes them, and
// half-closes. It gives up when the stream ends.
async function send(s, targets, size) {
  for (let i = 0; i < targets.length; i += size) {
    if (!s.call.write({ targets: targets.slice(i, i + size) }) && (await next(s, 'drain'))) return;
  }
  s.call.end();
}

function describe(status) {
  return `status ${grpc.status[status.code]}: ${status.details}`;
}

function expectOK(status) {
  assert.equal(status.code, grpc.status.OK, describe(status));
}

function expectResult(result, target, verdict, reason) {
  assert.deepEqual(
    { target: result.target, verdict: result.verdict, reason: result.reason },
    { target, verdict: `VERDICT_${verdict}`, reason: `REASON_${reason}` },
  );
}

const expectOpen = (result) => expectResult(result, open, 'REACHABLE', 'SYN_ACK');
const expectClosed = (result) => expectResult(result, closed, 'UNREACHABLE', 'REFUSED');

// expectEach wants one result for each target, whatever their order, of open and closed ports.
function expectEach(results, targets) {
  assert.equal(results.length, targets.length);
  const indexes = new Set();
  for (const result of results) {
    assert.ok(result.index < targets.length && !indexes.has(result.index), `index ${result.index}`);
    indexes.add(result.index);
    assert.equal(result.target, targets[result.index]);
    result.target === open ? expectOpen(result) : expectClosed(result);
  }
}

// mixed returns so many targets, one in two of them open.
const mixed = (count) => Array.from({ length: count }, (_, i) => (i % 2 ? closed : open));

// inFlight reads how many probes the service has in flight.
async function inFlight() {
  const text = await (await fetch(config.metrics)).text();
  return Number(text.match(/^tcpshaker_in_flight (\S+)$/m)[1]);
}

// untilInFlight waits for a number of probes in flight, at most 20 s.
async function untilInFlight(wanted) {
  const began = Date.now();
  let last;
  while ((last = await inFlight()) !== wanted) {
    assert.ok(Date.now() - began < 20_000, `${last} probes in flight, want ${wanted}`);
    await sleep(20);
  }
}

let failed = false;

async function check(name, body) {
  const began = Date.now();
  let error = null;
  let note;
  try {
    note = await body();
  } catch (e) {
    error = e.metadata ? describe(e) : e.message;
    failed = true;
  }
  console.log(JSON.stringify({ check: name, error, note, ms: Date.now() - began }));
}

// The keepalive checks take longest. They run beside the others, on connections of their own.
const slow = [
  check('keepalive without a stream', async () => {
    const client = connect('quiet', keepalive);
    expectOpen((await ask(client, { targets: [open] }))[0]);
    await sleep(idle);
    assert.equal(client.getChannel().getConnectivityState(false), grpc.connectivityState.READY, 'state of the channel');
    expectOpen((await ask(client, { targets: [open] }))[0]);
    client.close();
  }),
  check('keepalive with a stream', async () => {
    const client = connect('streaming', keepalive);
    const s = stream(client);
    s.call.write({ targets: [open] });
    await answered(s, 1);
    await sleep(idle);
    s.call.write({ targets: [closed] });
    await answered(s, 2);
    s.call.end();
    expectOK(await s.ended);
    expectOpen(s.results[0]);
    expectClosed(s.results[1]);
    client.close();
  }),
];

await check('Check', async () => {
  const results = await ask(plain, { targets: [open, closed, 'no target'] });
  assert.deepEqual(results.map((r) => r.index), [0, 1, 2]);
  expectOpen(results[0]);
  expectClosed(results[1]);
  expectResult(results[2], 'no target', 'INCONCLUSIVE', 'INVALID_TARGET');
});

await check('error details', async () => {
  const error = await ask(plain, { targets: [open], options: { attempts: 17 } }).then(() => null, (e) => e);
  assert.equal(error?.code, grpc.status.INVALID_ARGUMENT, error ? describe(error) : 'status OK');
  const [packed] = error.metadata.get('grpc-status-details-bin');
  assert.ok(packed, 'grpc-status-details-bin is missing');
  const status = details['google.rpc.Status'].deserialize(packed);
  assert.equal(status.code, grpc.status.INVALID_ARGUMENT);
  const found = {};
  for (const { type_url, value } of status.details) {
    const type = type_url.split('/').pop();
    found[type] = details[type].deserialize(value);
  }
  const { reason, domain } = found['google.rpc.ErrorInfo'];
  assert.deepEqual({ reason, domain }, { reason: 'INVALID_REQUEST', domain: 'tcpshaker.v1' });
  const fields = found['google.rpc.BadRequest'].field_violations.map((v) => v.field);
  assert.deepEqual(fields, ['options.attempts']);
});

await check('StreamCheck', async () => {
  const targets = mixed(10_000);
  const s = stream(plain);
  await send(s, targets, 500);
  expectOK(await s.ended);
  expectEach(s.results, targets);
});

await check('gzip Check', async () => {
  const targets = mixed(1000);
  expectEach(await ask(gzip, { targets }), targets);
});

await check('gzip StreamCheck', async () => {
  const targets = mixed(2000);
  const s = stream(gzip);
  await send(s, targets, 500);
  expectOK(await s.ended);
  expectEach(s.results, targets);
});

// before asks ten times, one after the other, with a deadline that passes before the silent target
// has timed out, and wants so many answers. A busy machine may be late. Then the client's clock
// ends the call, or the service's does with an RST_STREAM, which grpc-js reports as CANCELLED.
async function before(deadline, wanted, request) {
  const late = [grpc.status.DEADLINE_EXCEEDED, grpc.status.CANCELLED];
  let answers = 0;
  for (let i = 0; i < 10; i++) {
    const began = Date.now();
    try {
      const results = await ask(plain, request, deadline);
      expectOpen(results[0]);
      expectResult(results[1], silent, 'INCONCLUSIVE', 'DEADLINE_EXCEEDED');
      answers++;
    } catch (error) {
      if (!late.includes(error.code)) throw error;
    }
    const took = Date.now() - began;
    assert.ok(took < deadline + 1000, `a deadline of ${deadline} ms ended after ${took} ms`);
  }
  assert.ok(answers >= wanted, `${answers} answers before the deadline, of 10, want ${wanted}`);
  return `${answers} answers of 10`;
}

// The service keeps 100 ms of the first deadline back for the way home, and 30 ms of the second.
await check('deadline', () =>
  before(1000, 5, { targets: [open, silent], options: { timeout: { seconds: 30 } } }));
await check('short deadline', () => before(300, 1, { targets: [open, silent] }));

await check('cancel', async () => {
  await untilInFlight(0);
  const s = stream(plain);
  s.call.write({ targets: Array(100).fill(silent), options: { timeout: { seconds: 60 } } });
  await Promise.race([untilInFlight(100), s.ended]);
  const began = Date.now();
  s.call.cancel();
  const status = await s.ended;
  const took = Date.now() - began;
  assert.equal(status.code, grpc.status.CANCELLED, describe(status));
  assert.ok(took < 1000, `the status came after ${took} ms`);
  assert.equal(s.results.length, 0, 'results of silent targets');
  await untilInFlight(0);
});

await Promise.all(slow);
plain.close();
gzip.close();
process.exitCode = failed ? 1 : 0;
