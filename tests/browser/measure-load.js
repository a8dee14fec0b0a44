// Measures the web client in a busy room, and prints the figures as JSON: how far the page is behind, the time between
// frames, the rows, and the heap. It is no test: nothing passes or fails.
//
// usage: node tests/browser/measure-load.js [messages a second] [seconds] [slowdown of the processor]

import { ANA, BEN } from './two-users.js';
import { Server, inList, launch, openPage, register, signIn } from './support.js';

const [rate = 100, seconds = 60, slowdown = 1] = process.argv.slice(2).map(Number);

const server = await Server.create();
await server.start();
const browser = await launch();
const ana = await register(server, ANA);
const ben = await register(server, BEN);
const body = { type: 'group', name: 'Busy room', participant_ids: [ben.id] };
const group = await server.call('POST', '/conversations', { token: ana.token, body });
const { page, context } = await openPage(browser, server);
await signIn(page, ANA);
await inList(page, 'Busy room').click();
await page.getByRole('textbox', { name: 'Message', exact: true }).waitFor();
const devtools = await context.newCDPSession(page);
await devtools.send('Emulation.setCPUThrottlingRate', { rate: slowdown });

/** Notes when a message is painted: each contains the time at which it was sent. */
await page.evaluate(() => {
  globalThis.measured = { delays: [], frames: [] };
  const seen = new Set();
  let before = performance.now();
  const onFrame = (now) => {
    measured.frames.push(now - before);
    before = now;
    for (const text of [...document.querySelectorAll('.message-text')].slice(-60)) {
      const [, sent] = /^sent (\d+)/.exec(text.textContent) ?? [];
      if (!sent || seen.has(sent)) continue;
      seen.add(sent);
      measured.delays.push(Date.now() - Number(sent));
    }
    requestAnimationFrame(onFrame);
  };
  requestAnimationFrame(onFrame);
});

const heap = async () => {
  await devtools.send('HeapProfiler.collectGarbage');
  return (await devtools.send('Runtime.getHeapUsage')).usedSize / 2 ** 20;
};
const heapBefore = await heap();
const under = new Set();
const began = performance.now();
for (let number = 0; number < rate * seconds; number += 1) {
  const wait = began + (number * 1000) / rate - performance.now();
  if (wait > 0) await new Promise((done) => setTimeout(done, wait));
  const message = { content: `sent ${Date.now()} number ${number}`, temp_id: `load-${number}` };
  const sent = server.call('POST', `/conversations/${group.id}/messages`, { token: ben.token, body: message });
  under.add(sent);
  sent.finally(() => under.delete(sent));
  if (under.size >= 16) await Promise.race(under);
}
await Promise.all(under);
const took = (performance.now() - began) / 1000;
await page.getByText(`number ${rate * seconds - 1}`).first().waitFor();
const pressed = Date.now();
await page.keyboard.type('a');
await page.waitForFunction(() => document.querySelector('.composer-box').value === 'a');
const keyMs = Date.now() - pressed;
const { delays, frames } = await page.evaluate(() => measured);
const rows = await page.locator('.rows > *').count();
const percentile = (values, share) => [...values].sort((a, b) => a - b)[Math.floor(values.length * share)];
console.log(
  JSON.stringify({
    messages_per_second: Math.round((rate * seconds) / took),
    slowdown,
    delay_ms: { p50: percentile(delays, 0.5), p99: percentile(delays, 0.99), max: Math.max(...delays) },
    frame_ms: { p50: percentile(frames, 0.5).toFixed(1), p95: percentile(frames, 0.95).toFixed(1) },
    messages_painted: delays.length,
    rows,
    key_ms: keyMs,
    heap_mib: { before: heapBefore.toFixed(1), after: (await heap()).toFixed(1) },
  }),
);
await browser.close();
await server.remove();
