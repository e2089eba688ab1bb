// A busy program with the published Node SDK: busy.js URL.
const Pyroscope = require('@pyroscope/nodejs');

Pyroscope.init({
  appName: 'node-sdk',
  serverAddress: process.argv[2],
  tags: { region: 'eu' },
  flushIntervalMs: 5000,
  wall: { collectCpuTime: true },
});
Pyroscope.start();

function busyFunction(n) {
  let sum = 0;
  for (let i = 0; i < n; i++) {
    sum += (i * i) % 7;
  }
  return sum;
}

const end = Date.now() + 120_000;
function turn() {
  busyFunction(3_000_000);
  if (Date.now() < end) {
    setTimeout(turn, 1);
  }
}
turn();
